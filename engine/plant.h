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
    PLANT_FLIP_NO_TARGET_SYNC,   /* T10: masks say "here" of what is not durable in the target */
    PLANT_FLIP_OLD_LAYER,        /* T10: the partial layer lacks what the interrupted delta had */
    PLANT_COMPLETE_NO_FLUSH,     /* T16: root before the masks and the data are durable */
    PLANT_LOAD_OLD_DIGESTS,      /* a push that goes on believes digests of unfinished blocks */
    PLANT_LOAD_NO_ZERO,          /* what an initial push never wrote is not zeroed */
    PLANT_LOAD_FLUSH_PAGES_ONLY, /* a push's flush syncs data only when pages changed */
    PLANT_LOAD_NO_CHECKPOINT,    /* an initial push is committed before its data is durable */
    PLANT_PRESEED_IS_EMPTY,      /* a target with an old copy is taken for one full of zeros */
    PLANT_DRAFT_NO_SEAL,         /* a draft's root before its layers are durable */
    PLANT_DRAFT_NO_DIR_SYNC,     /* a draft's root before the new names of its layers are durable */
    PLANT_FAILBACK_CLEAR_FIRST,  /* T17: dirty bits go before the bytes are on the other side */
    PLANT_FAILBACK_NO_WAIT,      /* T17: A is read while writes registered in it are under way */
    PLANT_FAILBACK_NO_FLUSH,     /* T17: what is sent may be taken back by a power loss */
    PLANT_FAILBACK_NO_MASKS,     /* T17: ... or its masks, with fdatasync instead of a flush */
    PLANT_FAILBACK_SKIP_MISSING, /* T17: what is not all here is sent as it is */
    PLANT_FAILBACK_NO_SETTLE,    /* T17: dirty bits go before the destination has flushed */
    PLANT_MAX
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
