/*
 * The flags as they hold now: file, then what people changed (state), compiled and published.
 *
 * The blob is written beside its place and renamed, so a reader sees the old one or the new one.
 * Beside it the text of the last file that was good is kept: while the file itself is bad, changes
 * (a kill above all) are laid over that one, and the snapshot says so. One thread a snapshot; the
 * state may be shared.
 */
#ifndef BANYAN_FLAGFILE_SNAPSHOT_H
#define BANYAN_FLAGFILE_SNAPSHOT_H

#include "conf/conf.h"
#include "flagfile/flagfile.h"
#include "flags/flags.h"
#include "state/state.h"

#define SNAPSHOT_EDGE_MAX (16 << 20) /* bytes of a blob that an edge can fetch */

struct snapshot {
    char *path;            /* of the flags file; NULL: there is none, and no flags */
    struct flagfile *file; /* good */
    struct buf text;       /* of the file that was read, where it is good; until it is published */
    struct err bad;        /* code not 0: the file itself is bad, `file` is the last good one */
    struct state_flag *changes;
    size_t change_count;
    struct arena arena;
    struct flags_model model; /* with the changes */
    struct buf blob;
    struct flags_set set; /* the blob, opened */
};

/* The file that the configuration names, or feature-flags.yml where there is one and the key is
 * absent; NULL: no flags. */
const char *snapshot_file(const struct conf *conf);

/* "<state>.flags.blob"; free() it. */
char *snapshot_blob_path(const char *state_path);

/* Reads, checks, lays over, compiles. `s` NULL: nobody changed anything. ERR_CONF when the file is
 * bad and there is no last good one. Changes that the file says itself now are taken back in the
 * state, where no other daemon shares them. A flag that a module of `conf` names must exist, and
 * where edges fetch flags (tokens.edge) the file's may have SNAPSHOT_EDGE_MAX bytes. */
int snapshot_build(const struct conf *conf, const char *state_path, struct state *s,
                   struct snapshot **ret_snapshot, struct err *err) must_check;
void snapshot_free(struct snapshot *snapshot);
DEFINE_CLEANUP(struct snapshot *, snapshot_free)

/* Builds and publishes, and notes in the state which flags are on for everybody. Blob and last good
 * file are durable when it returns; others that do so at the same time wait. What the command line
 * and the daemon do at start, after each change and when the file changed. On failure what was
 * published stays. */
int snapshot_refresh(const struct conf *conf, const char *state_path, struct state *s,
                     struct snapshot **ret_snapshot, struct err *err) must_check;

/* What nobody changed: version 0. */
struct state_flag snapshot_change_of(const struct snapshot *snapshot, const char *name);

/* On for everybody: enabled, 100 %, and nothing that takes anybody out. */
bool snapshot_is_full(const struct flags_flag *flag);

enum snapshot_action {
    SNAPSHOT_SET,  /* the keys of `json` */
    SNAPSHOT_KILL, /* off, whatever the file and others say */
    SNAPSHOT_ON,   /* no longer killed, and enabled */
    SNAPSHOT_RESET /* as the file says */
};

struct snapshot_change {
    const char *name;
    enum snapshot_action action;
    struct span json; /* SNAPSHOT_SET: keys of overrides.h */
    int64_t version;  /* it is made for this one; -1: for any */
    const char *who, *role, *why;
};

/* Changes the state, with its line in the audit log; the caller builds and publishes again. Another
 * version in the state: *ret_conflict true, 0, and *ret_version is that one. ERR_NO: no such flag;
 * ERR_CONF: the change is wrong. */
int snapshot_change(const struct snapshot *snapshot, struct state *s,
                    const struct snapshot_change *change, int64_t *ret_version, bool *ret_conflict,
                    struct err *err) must_check;

#endif
