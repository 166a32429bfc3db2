/*
 * Small files, read and replaced whole. Any thread; two that replace one file at the same time must
 * agree among themselves who does.
 */
#ifndef BANYAN_BASE_FILE_H
#define BANYAN_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the bytes of the file; `to` has the limit. ERR_STATE. */
int file_read(const char *path, struct buf *to, struct err *err) must_check;

/* Beside its place, made durable, renamed: a reader sees the old bytes or the new ones, after a
 * crash too. Nothing happens where the file holds them already. Mode 0600. ERR_STATE. */
int file_replace(const char *path, struct span bytes, struct err *err) must_check;

#endif
