/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What will be done to the guest, decided completely before the first write: a list of edits, each
 * with its new bytes, its change, what it does and why.  plan_make() only reads (through struct
 * tree), so that --dry-run prints exactly what would be done and a refusal leaves the guest as it
 * was.  A guest that was morphed before gives an empty plan.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "morph/facts.h"

enum edit_kind {
    EDIT_WRITE,    /* the whole file becomes data; owner and mode stay when it exists */
    EDIT_APPEND,   /* data is added at the end of a file of `offset` bytes */
    EDIT_LINK,     /* path becomes a symbolic link to data; directories are made */
    EDIT_REMOVE,   /* path, a symbolic link, is removed */
    EDIT_DELETE,   /* path, a regular file, is removed */
    EDIT_RUN,      /* a program of the guest, which makes path anew; data: its words, each ended by
                      NUL.  Afterwards the change must have nothing more to propose */
    EDIT_DONE,     /* path was changed already, by another program: for the report */
    EDIT_DIRECTORY /* path, a directory, is made; nothing when it is there */
};

#define EDIT_HASH 65

const char *edit_kind_name(enum edit_kind kind); /* "write"; static */

struct edit {
    enum edit_kind kind;
    const char *change; /* name of the change; static */
    char *path;
    char *data;
    size_t length;
    uint64_t offset;
    int mode;          /* of what is new, as chmod takes it; 0: 0644, of a directory 0755 */
    uint32_t uid, gid; /* owner of what is new */
    char *label;       /* SELinux context of what is new, or NULL */
    bool secret;       /* data must not be shown */
    char before[EDIT_HASH], after[EDIT_HASH]; /* SHA-256 in hex; "" where there is no file */
    char *what;                               /* sentence: what is different afterwards */
    char *why;                                /* sentence: why it has to be */
};

/* Something a person should know although nothing is done about it. */
struct note {
    const char *change;
    char *text;
    bool warning;
};

struct plan {
    struct edit *edits;
    size_t edit_count;
    struct note *notes;
    size_t note_count;
};

/* Runs every change that applies and fills the hashes.  On failure *ret_plan is untouched. */
int plan_make(struct facts *facts, struct plan *ret_plan, struct error **err);
void plan_done(struct plan *plan);

/* Adds an edit; takes data, what and why.  Valid until the next one.  EDIT_WRITE of a file that the
 * plan writes already replaces its data and tells both: `data` must come from plan_text(). */
struct edit *plan_edit(struct plan *plan, enum edit_kind kind, const char *change, const char *path,
                       char *data, size_t length, char *what, char *why);

/* The same at `index`, before what stood there; the edits behind it move. */
struct edit *plan_edit_at(struct plan *plan, size_t index, enum edit_kind kind, const char *change,
                          const char *path, char *data, size_t length, char *what, char *why);

/* The last edit of path in the plan, or NULL: what an earlier change makes of it. */
struct edit *plan_find(const struct plan *plan, const char *path);

/* As tree_text(), of what the plan so far makes of the file: for files that several changes edit.
 */
int plan_text(const struct plan *plan, const struct tree *tree, const char *path, char **ret_text,
              struct error **err);

/* EDIT_APPEND to a file whose bytes are `old`; takes data, what and why. */
struct edit *plan_append(struct plan *plan, const char *change, const char *path, const void *old,
                         size_t old_length, char *data, size_t length, char *what, char *why);

void plan_note(struct plan *plan, const char *change, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void plan_warn(struct plan *plan, const char *change, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes the edits add below each directory, each edit counted at the deepest one it is below. */
void plan_bytes(const struct plan *plan, const char *const *directories, size_t count,
                uint64_t *ret_bytes);
