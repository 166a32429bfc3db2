#include "gateway/keys.h"

#include "base/file.h"
#include "jwt/jwt.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#define PATH_ROOM 4096

void keys_path(struct buf *out, const char *folder, const char *key) {
    buf_printf(out, "%s/jwt-%016" PRIx64 ".key", folder, XXH3_64bits(key, strlen(key)));
}

static int write_one(const struct conf *conf, const char *folder, const struct conf_asker *asker,
                     struct err *err) {
    struct jwt_key *key = NULL;
    struct err wrong = {0};
    if (!asker->claim.text)
        return 0;
    if (jwt_key_new(span_of(asker->key), &key, &wrong) < 0)
        return conf_error(conf, asker->claim.at, err, "the key of claim '%s' %s", asker->claim.text,
                          wrong.text);
    jwt_key_free(key);
    _cleanup_(buf_release) struct buf path = {.max = PATH_ROOM};
    keys_path(&path, folder, asker->key);
    return file_replace(buf_text(&path), span_of(asker->key), err);
}

static int write_attributes(const struct conf *conf, const char *folder,
                            const struct conf_attribute *list, size_t count, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = write_one(conf, folder, &list[i].from, err);
    return rc;
}

static int write_route(const struct conf *conf, const char *folder, const struct conf_route *r,
                       struct err *err) {
    int rc = write_one(conf, folder, &r->user, err);
    if (rc == 0)
        rc = write_one(conf, folder, &r->tenant, err);
    if (rc == 0)
        rc = write_attributes(conf, folder, r->user_attributes, r->user_attribute_count, err);
    if (rc == 0)
        rc = write_attributes(conf, folder, r->tenant_attributes, r->tenant_attribute_count, err);
    return rc;
}

int keys_write(const struct conf *conf, const char *folder, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++)
        for (size_t k = 0; rc == 0 && k < conf->modules[i].route_count; k++)
            rc = write_route(conf, folder, &conf->modules[i].routes[k], err);
    return rc;
}
