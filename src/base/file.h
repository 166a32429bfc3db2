/*
 * Small files, read and replaced whole. Any thread; two that replace one file at the same time must
 * agree among themselves who does (file_lock).
 */
#ifndef BANYAN_BASE_FILE_H
#define BANYAN_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the bytes of the file. ERR_STATE; ERR_LIMIT: `to` has no room for them. */
int file_read(const char *path, struct buf *to, struct err *err) must_check;

/* Beside its place, made durable, renamed: a reader sees the old bytes or the new ones, after a
 * crash too. Nothing happens where the file holds them already. Mode 0600. ERR_STATE. */
int file_replace(const char *path, struct span bytes, struct err *err) must_check;

/* Waits until nobody else, of this process or of another, holds the lock of the file, which is made
 * where it is not there and stays. A descriptor, whose close gives it back; or ERR_STATE. */
int file_lock(const char *path, struct err *err) must_check;

#endif
