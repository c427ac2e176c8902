/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry hive of a Windows guest.  hive.c is the only file that sees hivex.h.
 *
 * The bytes come from the guest and are not trusted: sizes are bounded, and what cannot be read is
 * as if it were not there.  Keys are named by paths from the hive's root with backslashes between
 * ("ControlSet001\\Services\\disk"); names of keys and values know no case, as in Windows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/error.h"

#define HIVE_MAX ((size_t)512 << 20)
#define HIVE_VALUE_MAX ((size_t)1 << 20)
#define HIVE_LIST_MAX 16384

/* Types of values, by their numbers in the file. */
enum hive_value_type {
    HIVE_TEXT = 1,   /* REG_SZ */
    HIVE_EXPAND = 2, /* REG_EXPAND_SZ: holds %NAMES% */
    HIVE_BINARY = 3,
    HIVE_NUMBER = 4, /* REG_DWORD */
    HIVE_TEXTS = 7   /* REG_MULTI_SZ */
};

struct hive;

/* Opens a copy of data; `name` is for sentences ("SYSTEM").  -EBADMSG with a sentence when it is no
 * hive or a damaged one. */
int hive_open(const char *name, const void *data, size_t length, struct hive **ret_hive,
              struct error **err);
struct hive *hive_free(struct hive *hive);
DEFINE_CLEANUP(struct hive *, hive_free)
#define _cleanup_hive_ _cleanup_(hive_freep)

/* Windows had not written everything when this copy was made (the two sequence numbers of the
 * header differ): the rest is in its logs, which do not count any more once the hive is changed. */
bool hive_is_unfinished(const struct hive *hive);

/* True once a hive_set_… call changed something. */
bool hive_is_changed(const struct hive *hive);

/* The hive as it is now, as the bytes of a file, from which all that was set has been read back; the
 * caller frees *ret_data.  -EBADMSG with a sentence when something that was set is not there. */
int hive_commit(struct hive *hive, char **ret_data, size_t *ret_length, struct error **err);

bool hive_has_key(struct hive *hive, const char *path);

/* Names of the keys below `path`, ended by NULL, in the hive's order; an empty list when there is
 * no such key.  Free with tree_names_free(). */
char **hive_list(struct hive *hive, const char *path);

/* A REG_SZ or REG_EXPAND_SZ as UTF-8, or NULL; owned by the caller. */
char *hive_text(struct hive *hive, const char *path, const char *value);

/* The strings of a REG_MULTI_SZ (or the one of a REG_SZ), ended by NULL; an empty list when there
 * is no such value.  Free with tree_names_free(). */
char **hive_texts(struct hive *hive, const char *path, const char *value);

/* True and *ret_number for a REG_DWORD. */
bool hive_number(struct hive *hive, const char *path, const char *value, uint32_t *ret_number);

/* A value of any type as it is; NULL when there is none.  Owned by the caller. */
char *hive_bytes(struct hive *hive, const char *path, const char *value, uint32_t *ret_type,
                 size_t *ret_length);

/*
 * Sets a value (""  is the key's default value); keys that are missing are made.  Returns 1 when
 * something changed, 0 when it was so already (nothing is touched then), -errno with a sentence.
 */
int hive_set(struct hive *hive, const char *path, const char *value, enum hive_value_type type,
             const void *data, size_t length, struct error **err);
int hive_set_number(struct hive *hive, const char *path, const char *value, uint32_t number,
                    struct error **err);

/* type: HIVE_TEXT, HIVE_EXPAND, or HIVE_TEXTS for a list of this one string.  `text` is UTF-8. */
int hive_set_text(struct hive *hive, const char *path, const char *value, enum hive_value_type type,
                  const char *text, struct error **err);

/* Makes the key when it is missing; results as hive_set(). */
int hive_make_key(struct hive *hive, const char *path, struct error **err);

/* Adds up results of the above: *sum becomes the number of changes, or stays the first failure. */
static inline void hive_sum(int *sum, int r)
{
    if (*sum >= 0)
        *sum = r < 0 ? r : *sum + r;
}
