/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass of failback over one disk (T17): sends to the destination what the guest has written
 * since it was sent last, while the guest goes on writing.  A step machine without a thread.
 *
 *   take       plane A: what an earlier pass left undone, then the one that was current until now;
 *              new writes go to the other plane, and no write is registered in A any more
 *   hydrate    blocks of A that are not all here (whole blocks are sent)
 *   flush      T12, mask pages included: the destination must not be given what a power loss here
 *              takes back, since its dirty bit will be gone
 *   send       the next window of A: read TARGET, write the destination
 *   settle     flush of the destination
 *   check      read it back and compare with the digests of what was sent
 *   clear      the window's bits of A, in the live file
 *   checkpoint the planes in the map file; then the next window, the next plane, or the end
 *
 * Whatever ends a pass early, its bits are there and the next pass finds them: a block's bit is
 * cleared after its bytes are safe on the other side, and never else.
 */
#pragma once

#include "engine/owner.h"
#include "engine/writer.h"

#define PASS_CHUNK (UINT64_C(1) << 20)  /* bytes of one request at most */
#define PASS_DEPTH 8                    /* of them */
#define PASS_WINDOW_DEFAULT 16384       /* blocks between flushes of the destination: 1 GiB */

enum pass_state {
    PASS_TAKE,
    PASS_HYDRATE,
    PASS_FLUSH,
    PASS_SEND,
    PASS_SETTLE,
    PASS_CHECK,
    PASS_CLEAR,
    PASS_CHECKPOINT,
    PASS_END,
};

struct pass_options {
    struct owner *owner;
    struct writer *writer;   /* stays the caller's, who closes it before failback_pass_free() */
    uint32_t window_blocks;  /* 0: PASS_WINDOW_DEFAULT */
};

struct failback_pass;

struct pass_status {
    enum pass_state state;
    uint64_t sent_bytes, checked_bytes; /* of all planes this pass took */
    uint64_t zero_bytes;                /* of the sent ones, those sent without their bytes */
};

int failback_pass_new(const struct pass_options *options, struct failback_pass **ret_pass);
void failback_pass_free(struct failback_pass *pass); /* NULL is fine */

enum pass_step {
    PASS_DONE, /* what was dirty when it began is sent */
    PASS_MORE, /* call again */
    PASS_WAIT, /* call failback_pass_wait(), then again */
};

/* enum pass_step, or -errno with a sentence: the pass is over, nothing unsent was forgotten. */
int failback_pass_step(struct failback_pass *pass, struct error **err);

/* Waits for the destination, or as long as a limit asks for; at most a quarter of a second. */
void failback_pass_wait(struct failback_pass *pass);

struct pass_status failback_pass_status(const struct failback_pass *pass);
