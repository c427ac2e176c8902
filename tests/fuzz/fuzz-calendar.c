/* SPDX-License-Identifier: Apache-2.0 */
/* Windows, cron lines, dates and lengths of time: what is taken comes, and comes later than now. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "orchestrator/calendar.h"
#include "tests/fuzz/fuzz.h"

#define NOW (INT64_C(1790000000) * 1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = mem_new(size + 1, 1);
    struct calendar_window w;
    struct calendar_rhythm rhythm;
    struct calendar_cron cron;
    int64_t ns;

    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    if (size > 0)
        memcpy(text, data, size);
    if (calendar_window_parse(text, &w, NULL) == 0) {
        int64_t next = calendar_window_next(&w, NOW);

        FUZZ_ASSERT(next >= NOW && next != CALENDAR_NEVER && calendar_window_contains(&w, next));
        FUZZ_ASSERT(calendar_windows_end(&w, 1, next) > next);
    }
    if (calendar_cron_parse(text, &cron, NULL) == 0) {
        ns = calendar_cron_next(&cron, NOW);
        FUZZ_ASSERT(ns > NOW && ns != CALENDAR_NEVER);
    }
    if (calendar_time_parse(text, &ns, NULL) == 0)
        FUZZ_ASSERT(ns >= -INT64_C(86400) * 1000000000 && ns < INT64_C(7258204800) * 1000000000);
    if (calendar_interval_parse(text, &ns, NULL) == 0)
        FUZZ_ASSERT(ns > 0);
    calendar_rhythm_parse(text, &rhythm, NULL);
    return 0;
}
