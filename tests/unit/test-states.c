/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of orchestrator/states.c hold together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "orchestrator/states.h"

static void names_are_found_again(void **state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        assert_int_equal(job_state_from_name(job_state_name(i)), i);
    assert_int_equal(job_state_from_name("nonsense"), -EINVAL);
    assert_int_equal(job_state_from_name(NULL), -EINVAL);
}

static void active_states_go_on_and_may_fail(void **state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        const struct state_info *s = &job_states[i];

        if (!(s->flags & STATE_ACTIVE)) {
            assert_int_equal(s->next, i);
            continue;
        }
        assert_true(job_may_follow(i, s->next));
        assert_true(job_may_follow(i, JOB_FAILED));
        assert_false(job_may_follow(i, i));
    }
}

static void nothing_leads_back_behind_the_flip(void **state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (!(job_states[i].flags & STATE_FLIPPED))
            continue;
        assert_false(job_may_follow(i, JOB_REVERTING));
        assert_false(job_may_follow(i, JOB_CANCELLING));
        assert_false(job_states[i].verbs & (1u << VERB_CANCEL));
    }
}

static void every_failure_has_a_verb_that_goes_on(void **state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        enum job_state to;
        int ways = 0;

        if (!(job_states[i].flags & STATE_ACTIVE))
            continue;
        for (int v = 0; v < JOB_VERB_COUNT; v++)
            if (job_retry_state(i, v, FLIP_UNKNOWN, &to)) {
                assert_true(job_may_follow(JOB_FAILED, to));
                ways++;
            }
        assert_true(ways > 0);
    }
}

static void a_flip_that_may_have_happened_only_goes_forward(void **state)
{
    enum job_state to;

    assert_false(job_retry_state(JOB_FLIPPING, VERB_CANCEL, FLIP_UNKNOWN, &to));
    assert_true(job_retry_state(JOB_FLIPPING, VERB_CUTOVER, FLIP_UNKNOWN, &to));
    assert_int_equal(to, JOB_FLIPPING);
    assert_true(job_retry_state(JOB_FLIPPING, VERB_CUTOVER, FLIP_SEALED, &to));
    assert_int_equal(to, JOB_FLIPPING);
    assert_true(job_retry_state(JOB_FLIPPING, VERB_CUTOVER, FLIP_NOT_DONE, &to));
    assert_int_equal(to, JOB_STOPPING);
    assert_true(job_retry_state(JOB_FLIPPING, VERB_CANCEL, FLIP_SEALED, &to));
    assert_false(job_retry_state(JOB_DEFINING, VERB_CANCEL, FLIP_NOT_DONE, &to));
    assert_false(job_retry_state(JOB_SYNCING, VERB_CUTOVER, FLIP_NOT_DONE, &to));
}

static void refusals_name_job_state_and_verb(void **state)
{
    struct error *err = NULL;

    assert_int_equal(job_verb_check("web", JOB_MIRRORED, VERB_SYNC, &err), 0);
    assert_int_equal(job_verb_check("web", JOB_DEFINING, VERB_CANCEL, &err), -EPERM);
    assert_non_null(strstr(error_text(err), "web is defining: cancel"));
    assert_non_null(strstr(error_text(err), "mirrored"));
    error_free(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_again),
        cmocka_unit_test(active_states_go_on_and_may_fail),
        cmocka_unit_test(nothing_leads_back_behind_the_flip),
        cmocka_unit_test(every_failure_has_a_verb_that_goes_on),
        cmocka_unit_test(a_flip_that_may_have_happened_only_goes_forward),
        cmocka_unit_test(refusals_name_job_state_and_verb),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
