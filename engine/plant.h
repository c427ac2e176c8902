/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted bugs: each ordering rule of the engine can be broken on purpose in test builds, to show
 * that the model test notices.  In the product plant() is the constant false.
 */
#pragma once

#include <stdbool.h>

enum plant {
    PLANT_NONE,
    PLANT_BEGIN_HEADER_FIRST,    /* T4: header before the change set and the names are durable */
    PLANT_SEAL_NO_DATA_SYNC,     /* T6 without fdatasync of the layer's data */
    PLANT_SEAL_NO_INDEX_SYNC,    /* T6: header SEALED before the state pages are durable */
    PLANT_COMMIT_BEFORE_SEAL,    /* T7 before T6 */
    PLANT_PROGRESS_NO_DATA_SYNC, /* T5: state pages before the data they speak of */
    PLANT_MAP_NO_TARGET_SYNC,    /* T2: map pages before fdatasync of the target */
    PLANT_INIT_NO_CHECKPOINT,    /* T3 without the last checkpoint */
    PLANT_FOLD_WITH_PIN,         /* T8 although a view older than the layer lives */
    PLANT_FOLD_NO_ROOT,          /* T8 without folding=k in the root first */
    PLANT_FOLD_NO_TARGET_SYNC,   /* T9: root before fdatasync of the target */
    PLANT_UNLINK_BEFORE_ROOT,    /* T9: layer files go before the root that drops them */
    PLANT_ROOT_SAME_SLOT,        /* root overwrites the slot it was read from */
    PLANT_PAGE_SAME_SLOT,        /* pages overwrite the slot that is valid */
    PLANT_STATE_BEFORE_WRITE,    /* block counted as loaded before its write completed */
    PLANT_RESUME_OTHER_SNAPSHOT, /* an interrupted layer is resumed from another point in time */
    PLANT_FLIP_READERS_STAY,     /* T10 without ending the readers of the mirror */
    PLANT_NO_FENCE,              /* start without waiting for the writes of a dead engine */
    PLANT_RESTART_NO_SYNC,       /* start without making durable what a dead engine wrote */
    PLANT_OLD_DIGESTS_STAY,      /* a new initial copy begins before the old digests are gone */
    PLANT_LOAD_OLD_DIGESTS,      /* a push that goes on believes digests of unfinished blocks */
    PLANT_LOAD_NO_ZERO,          /* what an initial push never wrote is not zeroed */
    PLANT_LOAD_FLUSH_PAGES_ONLY, /* a push's flush syncs data only when pages changed */
    PLANT_LOAD_NO_CHECKPOINT,    /* an initial push is committed before its data is durable */
    PLANT_PRESEED_IS_EMPTY,      /* a target with an old copy is taken for one full of zeros */
    PLANT_DRAFT_NO_SEAL,         /* a draft's root before its layers are durable */
    PLANT_DRAFT_NO_DIR_SYNC,     /* a draft's root before the new names of its layers are durable */
    PLANT_FOLD_KEPT,             /* a generation is folded although it is kept */
    PLANT_FLIP_NEWER_STAY,       /* a flip to an older generation brings the newer ones, too */
    PLANT_MAX, /* so far the model test must notice them (tests/model), from here on the weave */
    PLANT_FLIP_NO_TARGET_SYNC = PLANT_MAX, /* T10: masks say "here" of what is not durable */
    PLANT_FLIP_OLD_LAYER,        /* T10: the partial layer lacks what the interrupted delta had */
    PLANT_COMPLETE_NO_FLUSH,     /* T16: root before the masks and the data are durable */
    PLANT_FLUSH_MAP_FIRST,       /* T12: mask pages before fdatasync of the target */
    PLANT_FLUSH_NO_SYNC,         /* T12: nothing is synced when no mask changed */
    PLANT_FLUSH_NOT_HYDRATED,    /* T12 leaves out pages that only hydration changed */
    PLANT_FLUSH_JOINS_ROUND,     /* T12: acknowledged by a round that had begun before */
    PLANT_FLUSH_FORGETS_FAILURE, /* a failed fdatasync is not latched */
    PLANT_FLUSH_AFTER_FAILURE,   /* a flush goes on after one that failed */
    PLANT_FUA_ALWAYS_SHORT,      /* T13: a durable write without a durable mask */
    PLANT_CLEAR_BEFORE_WRITE,    /* T11: mask cleared before the guest's bytes are there */
    PLANT_CLEAR_EDGES,           /* T11: a sub-block that is written in part counts as here */
    PLANT_DIRTY_AFTER_WRITE,     /* T11: dirty bit after the write */
    PLANT_NO_LOG,                /* T11 without the activity log */
    PLANT_LOG_BEFORE_GATE,       /* T11: activity log looked at before the gate */
    PLANT_LOG_ACTIVE_EARLY,      /* a region counts as active before its record is durable */
    PLANT_GATE_NOT_ASKED_AGAIN,  /* the gate is looked at before the write is registered only */
    PLANT_SWITCH_NO_WAIT,        /* planes switched, writes of the old one still under way */
    PLANT_PRUNE_NO_GATE,         /* log cleared while writes are under way */
    PLANT_PRUNE_NO_PLANES,       /* log cleared although dirty bits are not durable */
    PLANT_PLANES_DURABLE_EARLY,  /* dirty bits count as durable when their checkpoint begins */
    PLANT_HYDRATE_ALL,           /* T15 writes sub-blocks that are here already */
    PLANT_HYDRATE_NO_STRIPE,     /* T15 without the stripe lock */
    PLANT_HYDRATE_CLEAR_FIRST,   /* T15: mask cleared before the data is there */
    PLANT_LOOKUP_OLDEST,         /* a missing block is taken from the oldest layer that has it */
    PLANT_LIVE_IGNORED,          /* T19 after a kill as after a power loss */
    PLANT_LOSS_NO_LOG,           /* T19 after a power loss: the log's regions are not dirty */
    PLANT_LOSS_ADOPTS_PLANE_0,   /* T19 after a power loss: the other plane is forgotten */
    PLANT_FAILBACK_CLEAR_FIRST,  /* T17: dirty bits go before the bytes are on the other side */
    PLANT_FAILBACK_NO_WAIT,      /* T17: A is read while writes registered in it are under way */
    PLANT_FAILBACK_NO_FLUSH,     /* T17: what is sent may be taken back by a power loss */
    PLANT_FAILBACK_NO_MASKS,     /* T17: ... or its masks, with fdatasync instead of a flush */
    PLANT_FAILBACK_SKIP_MISSING, /* T17: what is not all here is sent as it is */
    PLANT_FAILBACK_NO_SETTLE,    /* T17: dirty bits go before the destination has flushed */
    PLANT_OWNER_MAX
};

#ifdef SLIPWAY_PLANTED_BUGS
extern enum plant plant_active;
static inline bool plant(enum plant which)
{
    return plant_active == which;
}
#else
static inline bool plant(enum plant which)
{
    (void)which;
    return false;
}
#endif
