/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's journal without its library: messages of named fields as one datagram to its socket, as
 * systemd.io/JOURNAL_NATIVE_PROTOCOL describes it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define JOURNALD_SOCKET "/run/systemd/journal/socket"

struct journald_field {
    const char *name;  /* capital letters, digits and '_' */
    const char *value; /* NULL: the field is left out */
};

/* True when the descriptor is the stream that systemd named in $JOURNAL_STREAM ("DEVICE:INODE", may
 * be NULL): whatever else was put in its place does not go to the journal. */
bool journald_has_stream(int fd, const char *journal_stream);

/* The datagram; its length, or 0 when it is longer than size. */
size_t journald_format(const struct journald_field *fields, size_t count, char *out, size_t size);

/* Sends it to the socket at path.  0 or -errno.  Like sd_journal_send(3) it waits while the journal
 * does not read, as long as the descriptor's SO_SNDTIMEO lets it. */
int journald_send(int fd, const char *path, const char *data, size_t length);
