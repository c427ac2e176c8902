/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model test: drives one engine over the simulated disk, one step at a time, kills it, and
 * compares what it shows with a reference that only remembers what was acknowledged.
 *
 *   run.c        makes, runs and shrinks sequences of steps; the command line
 *   driver.c     carries a step out on the engine
 *   pushes.c     the steps of a push
 *   recovery.c   what happens when a step crashed
 *   reference.c  what must be true
 */
#pragma once

#include "engine/fold.h"
#include "engine/sync.h"
#include "tests/model/memsource.h"
#include "tests/model/sim.h"

#define STORE "/store/vm"
#define GENERATIONS 48
#define PINS 3
#define DRAFTS 3
#define GUEST_WRITES 256

/* ---- steps ---- */

enum step_kind {
    STEP_SOURCE_WRITE,
    STEP_SYNC_BEGIN,   /* open and prepare; the interrupted point again, or a new one */
    STEP_PULL,         /* a few steps of the pullers */
    STEP_CHECKPOINT,
    STEP_SYNC_END,     /* pull what is left and commit */
    STEP_SYNC_GIVE_UP, /* as a cancel does */
    STEP_SYNC,         /* all of it */
    STEP_FOLD_BEGIN,
    STEP_FOLD,
    STEP_FOLD_END,
    STEP_FOLD_ALL,
    STEP_PIN,
    STEP_UNPIN,
    STEP_DRAFT_CREATE,
    STEP_DRAFT_WRITE,
    STEP_DRAFT_SEAL,
    STEP_DRAFT_DROP,
    STEP_FLIP,
    STEP_FLIP_INSTANT,
    STEP_HYDRATE,
    STEP_GUEST_WRITE,
    STEP_GUEST_FLUSH,
    STEP_DETACH,
    STEP_PUSH_BEGIN,   /* a new one, or one that a crash interrupted */
    STEP_PUSH_WRITE,
    STEP_PUSH_FLUSH,
    STEP_PUSH_COMMIT,
    STEP_PUSH_ABANDON,
    STEP_SET,          /* how much is kept, and what gives way */
    STEP_RESTART,      /* in order, or by a crash between two steps */
    _STEP_MAX
};

enum crash_kind { CRASH_KILL, CRASH_POWER };

struct step {
    uint8_t kind;
    uint8_t fault;   /* enum sim_fault */
    uint8_t crash;   /* enum crash_kind: how it ends after a fault, or STEP_RESTART */
    uint8_t loss;    /* enum sim_loss */
    bool read_fault; /* the first read of the source fails */
    uint16_t at;     /* the fault hits the at-th I/O call of the step */
    uint16_t again;  /* the recovery crashes at this call too; 0: it does not */
    uint32_t seed;
};

/* ---- state ---- */

struct content {
    uint8_t *bytes[MEM_DISKS];
};

struct model_draft {
    bool open;
    uint64_t gen; /* it is over */
    struct content content;
};

struct guest_write {
    unsigned disk;
    uint64_t offset, length;
    uint8_t *bytes;
};

#define PUSH_WRITES 64

struct model_push {
    bool open;
    bool left;   /* a crash interrupted it: `id` can be gone on with */
    unsigned id;
    struct content now, flushed; /* acknowledged; at the last acknowledged flush */
    struct guest_write writes[PUSH_WRITES]; /* since then */
    unsigned write_count;
};

struct model {
    struct sim *sim;
    struct memsource *source;
    struct engine *engine;
    struct random random; /* of the step */
    char failure[512];    /* empty: all is well */
    bool read_fault;      /* a read of the source failed on purpose in this step */
    bool fault_hit;       /* the fault of the last step happened */
    bool late_fault;      /* a fault of an earlier step may show only now */
    bool litter;          /* a file of a draft could not be removed: the next start does */

    /* what was acknowledged */
    enum store_mode mode;
    uint64_t gen;         /* NO_GENERATION in INIT */
    struct content gens[GENERATIONS];
    int gen_points[GENERATIONS]; /* point in time of each; -1: a draft */
    bool local;           /* a draft was sealed */
    uint64_t promised;    /* generations from here on stay readable */

    /* what may have become true without an answer */
    bool maybe_gen, maybe_owner, maybe_detached;
    uint64_t owner_gen;   /* of maybe_owner */
    bool instant;         /* maybe_owner is of an instant flip, to ... */
    int owner_point;      /* ... this point of the source */

    /* the owner's disks */
    struct content owner, flushed; /* now; at the last acknowledged flush */
    struct guest_write writes[GUEST_WRITES]; /* since then */
    unsigned write_count;
    bool writing;         /* the last one was not acknowledged */

    /* the sync under way */
    struct sync *sync;
    struct puller *pullers[MEM_DISKS];
    bool pulled[MEM_DISKS];
    int point;            /* of the sync; -1: none ever */
    bool durable[MEM_DISKS][8]; /* blocks of `point` that need not be fetched again */

    struct fold fold;
    bool folding;
    struct view *pins[PINS];
    struct model_draft drafts[DRAFTS];
    struct model_push push;
};

extern const char *const model_disks[MEM_DISKS], *const model_drafts[DRAFTS];

/* ---- reference.c ---- */

void model_fail(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct content content_copy(const struct content *from); /* NULL: zeros */
void content_free(struct content *c);

/* The engine's draft of that number, or NULL. */
struct draft *model_draft(const struct model *m, unsigned i);

/* After a commit or a change of the policy: what the engine promises to keep. */
void reference_promise(struct model *m);

/* Everything readable holds what it should.  deep: all generations and names, not only the latest. */
void reference_check(struct model *m, bool deep);
/* The engine says where it is now; it must be what was acknowledged, or what was under way. */
void reference_recovered(struct model *m, bool power_lost);
void reference_generation(struct model *m, struct content content, int point);
void reference_guest_write(struct model *m, unsigned disk, uint64_t offset, uint64_t length,
                           const uint8_t *bytes);
void reference_guest_flush(struct model *m);
/* After a write that failed the target holds what it holds. */
void reference_adopt(struct model *m);
void reference_owner(struct model *m); /* the flip was acknowledged */
/* The target is the owner's content: of a detached store, which no engine opens. */
void reference_detached(struct model *m, bool power_lost);
/* What of the sync's point is durable now, when a checkpoint that begins now succeeds. */
void reference_durable(struct model *m, unsigned disk, bool durable[8]);

/* ---- pushes.c ---- */

void push_step(struct model *m, enum step_kind kind);
void push_check(struct model *m);   /* it reads back */
void push_crashed(struct model *m); /* the engine is gone, or about to go in order */
void push_give_up(struct model *m); /* abandons the open one */
void push_forget(struct model *m);  /* nothing of one is left */

/* ---- driver.c ---- */

struct model *model_new(uint64_t seed);
void model_free(struct model *m);
bool model_create(struct model *m, const struct step *step); /* false: a fault prevented it */
void driver_step(struct model *m, const struct step *step);
/* Frees what the driver holds of the engine, then the engine. */
void driver_drop(struct model *m);
/* Ends what is open, brings the mirror to the newest point and folds everything: always possible. */
void driver_finish(struct model *m);

/* ---- instant.c ---- */

void instant_flip(struct model *m); /* nothing else is under way */
/* Steps of the hydrators, and of the keeper among them. */
void instant_hydrate(struct model *m, unsigned steps);
/* Puts what is missing of a hydrating owner's target into its bytes. */
void instant_overlay(struct model *m, unsigned disk, uint8_t *bytes);

/* ---- recovery.c ---- */

void recovery_crash(struct model *m, const struct step *step);
