/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a document that a person wrote: all of it at once, each with its place.
 *
 * A problem is {line, column, field?, message}; lines and columns count characters from 1.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include "base/error.h"

#define PROBLEMS_MAX 200

struct place {
    unsigned line, column; /* from 1; line 0: nowhere in particular */
};

struct problems {
    json_t *list;   /* owned; in the order in which they were found */
    size_t dropped; /* found beyond PROBLEMS_MAX, only counted */
};

/* An empty list; problems_done() frees it. */
void problems_init(struct problems *problems);
void problems_done(struct problems *problems);

/* field: what the sentence is about ("cutover"), or NULL. */
void problem_add(struct problems *problems, struct place at, const char *field, const char *fmt,
                 ...)
    __attribute__((format(printf, 4, 5)));

size_t problems_count(const struct problems *problems);

/* Puts them into the order of their places. */
void problems_sort(struct problems *problems);

/* "FILE:LINE:COLUMN: FIELD: message", one a line, without a last newline.  The caller frees. */
char *problems_text(const struct problems *problems, const char *file);

/* The name among `count` names that was probably meant (few letters differ), or NULL. */
const char *problem_nearest(const char *word, const char *const *names, size_t count);
