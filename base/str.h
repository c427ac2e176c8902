/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small strings of the control plane.  Running out of memory for these ends the process (abort):
 * the data path never calls them, and a control plane that cannot format a path is restarted from
 * its journal.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* printf into new memory, owned by the caller. */
char *str_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* strdup that does not fail; NULL stays NULL. */
char *str_dup(const char *s);

/* calloc that does not fail. */
void *mem_new(size_t count, size_t size);

/* Frees *p and puts a copy of value there. */
void str_replace(char **p, const char *value);

/* "123", "16K", "2M", "3G", "1T" (powers of 1024) to bytes.  0 or -EINVAL/-ERANGE. */
int str_to_bytes(const char *s, uint64_t *ret_bytes);

/* Bytes for people: "1.5 GiB".  Returns buf. */
char *str_from_bytes(uint64_t bytes, char *buf, size_t size);

/* Puts '?' in the place of each byte that is not part of a UTF-8 character (RFC 3629).  Returns
 * text. */
char *str_make_utf8(char *text);

/* 1 when s starts with prefix. */
int str_starts(const char *s, const char *prefix);

/* The first `length` bytes of a part of a URI with "%41" replaced by "A"; a broken escape stays.
 * Owned by the caller. */
char *str_unescape(const char *text, size_t length);
