/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine ...: options of all its verbs in one place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/control.h"

#define ENGINE_DISKS_MAX 24
#define ENGINE_KEEP_MAX 7

struct engine_pair {
    char *name;
    char *value;
};

enum engine_limit {
    ENGINE_LIMIT_SOURCE_RATE,
    ENGINE_LIMIT_SOURCE_IOPS,
    ENGINE_LIMIT_TARGET_RATE,
    ENGINE_LIMIT_TARGET_IOPS,
    ENGINE_LIMITS
};

struct engine_args {
    const char *verb;
    char *store;                 /* absolute */
    struct engine_pair disks[ENGINE_DISKS_MAX];   /* create: --disk; sync: NAME=URI */
    size_t disk_count;
    struct engine_pair bitmaps[ENGINE_DISKS_MAX];
    size_t bitmap_count;
    const char *vm_name;
    const char *snapshot;
    const char *draft_name;
    const char *socket;
    bool instant;                /* flip */
    const char *since, *token;
    bool accept_loss;            /* serve */
    const char *live_folder;
    double source_wait_s;        /* < 0: the engine's default */
    long long generation;        /* draft create, flip; < 0: the latest */
    long long keep;              /* create, set; < 0: not given */
    const char *when_full;       /* set */
    bool has_budget;
    uint64_t space_budget;       /* bytes, 0: no limit */
    double grace_s;              /* < 0: the engine's default */
    long connections;            /* 0: the engine's default */
    bool repair;                 /* verify */
    bool preseed;                /* create: the targets hold old copies */
    bool compare;
    bool compare_bytes;          /* sync, verify: compare bytes, not digests */
    double sample_percent;       /* verify */
    const char *key, *output;    /* manifest */
    const char *public_key;      /* verify-manifest */
    const char *one_disk;        /* limit, diff: NULL: the whole VM */
    uint64_t limits[ENGINE_LIMITS]; /* 0: unlimited */
    bool limit_given[ENGINE_LIMITS];
    bool final;                  /* failback */
    const char *check;
    long long from, to;          /* diff: generations; < 0: not given */
    bool extents, fast, files;   /* diff */
    bool data;                   /* fsck: compare the bytes, too */
    bool json;
    bool help;
};

/* Parses argv[0] = verb.  EINVAL with a sentence. */
int engine_args_parse(int argc, char **argv, struct engine_args *ret_args, struct error **err);
void engine_args_done(struct engine_args *args);

/* The usage text of slipway engine. */
extern const char engine_usage[];

/* engine-verbs.c: each returns 0 or -errno with a sentence, and prints its result. */
int engine_verb_create(const struct engine_args *args, struct error **err);
int engine_verb_serve(const struct engine_args *args, struct error **err);
int engine_verb_status(const struct engine_args *args, struct error **err);
int engine_verb_sync(const struct engine_args *args, struct error **err);
int engine_verb_flip(const struct engine_args *args, struct error **err);
int engine_verb_detach(const struct engine_args *args, struct error **err);
int engine_verb_source(const struct engine_args *args, struct error **err);
int engine_verb_source_lost(const struct engine_args *args, struct error **err);
int engine_verb_cancel(const struct engine_args *args, struct error **err);
int engine_verb_stop(const struct engine_args *args, struct error **err);

/* engine-limit.c */
int engine_limit_parse(struct engine_args *args, enum engine_limit which, const char *value,
                       struct error **err);
int engine_verb_limit(const struct engine_args *args, struct error **err);
void engine_print_limits(const json_t *status); /* its lines of the status, if there are any */

/* engine-diff.c */
int engine_diff_word(struct engine_args *args, const char *word, struct error **err); /* 3 or @3 */
int engine_verb_diff(const struct engine_args *args, struct error **err);

/* engine-set.c */
int engine_verb_set(const struct engine_args *args, struct error **err);

/* engine-draft.c */
int engine_verb_draft(const struct engine_args *args, struct error **err);

/* engine-proof.c: the same, but a positive result is the exit code: what was checked is not good. */
int engine_verb_verify(const struct engine_args *args, struct error **err);
int engine_verb_manifest(const struct engine_args *args, struct error **err);
int engine_verb_manifest_key(const struct engine_args *args, struct error **err);
int engine_verb_verify_manifest(const struct engine_args *args, struct error **err);
int engine_verb_fsck(const struct engine_args *args, struct error **err);

/* engine-failback.c */
int engine_verb_failback(const struct engine_args *args, struct error **err);
void engine_print_failback(const json_t *status); /* its lines of the status, if there are any */

/* engine-load.c */
int engine_verb_load(const struct engine_args *args, struct error **err);

/* NAME=NBD-URI words with their bitmaps as the argument "disks"; a new reference.  engine-owner.c. */
json_t *engine_disks_json(const struct engine_args *args);

/* An engine for one command: adopted, or started and ended with it. */
struct session {
    struct control *control;
    const struct engine_args *args;
    bool started;
    bool brief; /* the command brings nothing: an engine of its own ends without folding first */
    struct progress *progress;
};

/* EPERM with a sentence when no engine serves the store. */
int session_need_engine(const struct engine_args *args, struct error **err);
int session_open(struct session *session, const struct engine_args *args, struct error **err);
/* Shows a progress event of an engine or of slipway-store; context: struct session. */
int session_event(const json_t *event, void *context);
void session_event_end(struct session *session);
/* args is consumed. */
int session_call(struct session *session, const char *verb, json_t *args, json_t **ret_result,
                 struct error **err);
/* A verb whose result is one line for people.  request is consumed. */
int session_simple(const struct engine_args *args, const char *verb, json_t *request,
                   const char *done, struct error **err);
/* Ends the engine if this command started it.  Returns r, or its own failure. */
int session_close(struct session *session, int r, struct error **err);
void session_print(json_t *result); /* to standard output */
