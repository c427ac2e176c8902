/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/govern-backoff.h"

#include "base/align.h"

#define LOOKS 2         /* a single slow moment means nothing */
#define DRIFT 1.001      /* of the usual time, per look: threefold within an hour */
#define GIVE_BACK 0.1   /* of the best rate, per good look */

static bool is_slow(const struct backoff *b, double latency_s)
{
    return latency_s > BACKOFF_LEAST_S && latency_s > b->usual_s * BACKOFF_TIMES;
}

static enum backoff_change lower(struct backoff *b, double rate)
{
    double from = b->rate > 0 ? MIN(b->rate, rate) : rate;
    double to = MAX(from / 2, BACKOFF_FLOOR_BYTES_S);

    b->slow = 0; /* the next halving needs to be seen anew */
    if (b->rate > 0 && to >= b->rate)
        return BACKOFF_SAME;
    b->rate = to;
    return BACKOFF_LOWERED;
}

static enum backoff_change give_back(struct backoff *b)
{
    if (b->rate <= 0)
        return BACKOFF_SAME;
    b->rate += MAX(b->best_rate * GIVE_BACK, BACKOFF_FLOOR_BYTES_S);
    if (b->rate < b->best_rate)
        return BACKOFF_RAISED;
    b->rate = 0;
    return BACKOFF_OVER;
}

enum backoff_change backoff_look(struct backoff *b, double latency_s, double rate)
{
    bool slow;

    if (!(latency_s > 0))
        return BACKOFF_SAME;
    if (b->usual_s <= 0 || latency_s < b->usual_s)
        b->usual_s = latency_s;
    if (!(rate >= 0))
        return BACKOFF_SAME;
    slow = is_slow(b, latency_s);
    if (!slow)
        b->best_rate = MAX(b->best_rate, rate);
    b->usual_s *= DRIFT;
    b->slow = slow ? b->slow + 1 : 0;
    if (!slow)
        return give_back(b);
    return b->slow >= LOOKS ? lower(b, rate) : BACKOFF_SAME;
}
