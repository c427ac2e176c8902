/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Divides what several scopes may use among the flows that run in them: max-min fair by progressive
 * filling (Bertsekas and Gallager, Data Networks, 6.5.2).  All rates rise together; a flow stops
 * rising when it has what it wants or one of its scopes is used up, the others go on.  So nobody
 * can get more without taking from one that has no more than it.  Pure.
 */
#pragma once

#include <stddef.h>

#define SHARE_SCOPES_MAX 8 /* of one flow */
#define SHARE_UNLIMITED (-1.0)

struct share_scope {
    double capacity; /* anything per second; < 0: as much as wanted */
};

struct share_flow {
    size_t scopes[SHARE_SCOPES_MAX];
    size_t scope_count;
    double demand; /* it cannot use more; < 0: all it gets */
    double rate;   /* set by share_divide(); SHARE_UNLIMITED: nothing limits it */
};

void share_divide(const struct share_scope *scopes, size_t scope_count, struct share_flow *flows,
                  size_t count);

/*
 * The demand of a flow that was told `told` per second (< 0: unlimited) and made `measured` of it:
 * what falls well short gets half as much again as it uses, so that it can show when it could use
 * more; otherwise it takes all it gets.
 */
double share_demand(double told, double measured);
