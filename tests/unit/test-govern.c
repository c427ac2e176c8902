/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of the governor: limits by time, places, slots, shares, backing off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "orchestrator/calendar.h"
#include "orchestrator/fields.h"
#include "orchestrator/govern-backoff.h"
#include "orchestrator/govern-place.h"
#include "orchestrator/govern-share.h"
#include "orchestrator/govern-slots.h"

#define MINUTE (INT64_C(60) * 1000000000)
#define MB 1e6

static int64_t at(const char *text)
{
    int64_t ns;

    assert_int_equal(calendar_time_parse(text, &ns, NULL), 0);
    return ns;
}

static struct govern_limit *limit(const char *text)
{
    _cleanup_json_ json_t *body = json_loads(text, 0, NULL);
    _cleanup_error_ struct error *err = NULL;
    struct govern_limit *l = NULL;

    assert_non_null(body);
    if (govern_limit_parse(body, &l, &err) < 0)
        fail_msg("%s: %s", text, error_text(err));
    return l;
}

/* ---- limits ---- */

static void first_rule_whose_time_it_is_counts(void **state)
{
    struct govern_limit *l = limit(
        "{\"scope\":\"host\",\"name\":\"esx1\",\"rules\":["
        "{\"when\":\"mon-fri 08:00-18:00 UTC\",\"bandwidth\":\"medium\",\"syncs\":1},"
        "{\"when\":[\"sat 00:00-24:00 UTC\",\"sun 00:00-12:00 UTC\"],\"iops\":500},"
        "{\"bandwidth\":\"100M\"}]}");
    struct govern_amount a = govern_limit_at(l, at("2026-11-20T08:00:00Z")); /* a Friday */

    assert_true(a.bytes_s == 2500000 && a.syncs == 1 && a.iops == 0);
    assert_true(govern_limit_change(l, at("2026-11-20T08:00:00Z")) == at("2026-11-20T18:00:00Z"));
    a = govern_limit_at(l, at("2026-11-20T18:00:00Z"));
    assert_true(a.bytes_s == 100 << 20 && a.syncs == 0);
    assert_true(govern_limit_change(l, at("2026-11-20T18:00:00Z")) == at("2026-11-21T00:00:00Z"));
    a = govern_limit_at(l, at("2026-11-22T11:59:00Z"));
    assert_true(a.bytes_s == 0 && a.iops == 500);
    govern_limit_free(l);

    l = limit("{\"scope\":\"all\",\"rules\":[{\"bandwidth\":\"unlimited\"}]}");
    assert_true(govern_limit_at(l, 0).bytes_s == 0);
    assert_true(govern_limit_change(l, 0) == INT64_MAX);
    govern_limit_free(l);
}

static uint64_t bandwidth(const char *text)
{
    _cleanup_json_ json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    uint64_t bytes_s = 77;

    return govern_bandwidth_parse(value, &bytes_s, NULL) == 0 ? bytes_s : 99999999999;
}

static void speeds_have_names_and_numbers(void **state)
{
    static const char *const wrong[] = {"0", "-5", "1.5", "true", "\"slow\"", "\"0\"", "\"\"",
                                        "\"20Xbit\"", "\"bit\"", "\"0Mbit\"", "\"5Mbits\"",
                                        "\"9999999999Gbit\"", "9223372036854775807"};

    assert_true(bandwidth("\"medium\"") == 2500000);
    assert_true(bandwidth("\"fast\"") == 3750000);
    assert_true(bandwidth("\"unlimited\"") == 0);
    assert_true(bandwidth("12345") == 12345);
    assert_true(bandwidth("\"2M\"") == 2 << 20);
    assert_true(bandwidth("\"800kbit\"") == 100000);
    assert_true(bandwidth("\"200Mbit\"") == 25000000);
    assert_true(bandwidth("\"10Gbit\"") == 1250000000);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (bandwidth(wrong[i]) != 99999999999)
            fail_msg("%s is taken", wrong[i]);
}

static void refused(const char *text, const char *word)
{
    _cleanup_json_ json_t *body = json_loads(text, 0, NULL);
    _cleanup_error_ struct error *err = NULL;
    struct govern_limit *l = NULL;

    assert_non_null(body);
    assert_int_equal(govern_limit_parse(body, &l, &err), -EINVAL);
    assert_null(l);
    if (!strstr(error_text(err), word))
        fail_msg("'%s' is missing in: %s", word, error_text(err));
}

static void wrong_limits_are_told(void **state)
{
    refused("{}", "scope");
    refused("{\"scope\":\"vm\",\"rules\":[{}]}", "'vm'");
    refused("{\"scope\":\"all\"}", "rules");
    refused("{\"scope\":\"all\",\"rules\":[]}", "1 to 32 rules");
    refused("{\"scope\":\"all\",\"rules\":[5]}", "object");
    refused("{\"scope\":\"all\",\"name\":\"x\",\"rules\":[{}]}", "has no name");
    refused("{\"scope\":\"all\",\"rules\":[{},{\"speed\":5}]}", "'speed'");
    refused("{\"scope\":\"all\",\"rules\":[{},{\"speed\":5}]}", "rule 2");
    refused("{\"scope\":\"all\",\"rules\":[{\"syncs\":0}]}", "syncs");
    refused("{\"scope\":\"all\",\"rules\":[{\"iops\":\"5\"}]}", "iops");
    refused("{\"scope\":\"all\",\"rules\":[{\"when\":[]}]}", "when");
    refused("{\"scope\":\"all\",\"rules\":[{\"when\":\"always\"}]}", "always");
    refused("{\"scope\":\"all\",\"rules\":[{\"when\":7}]}", "when");
    refused("{\"scope\":\"network\",\"rules\":[{}]}", "10.1.0.0/16");
    refused("{\"scope\":\"network\",\"name\":\"10.1.0.0/33\",\"rules\":[{}]}", "10.1.0.0/33");
    refused("{\"scope\":\"all\",\"rules\":[{}],\"x\":1}", "'x'");
}

static void networks_hold_addresses(void **state)
{
    assert_true(govern_network_has("10.1.0.0/16", "10.1.255.3"));
    assert_false(govern_network_has("10.1.0.0/16", "10.2.0.1"));
    assert_true(govern_network_has("10.1.2.128/25", "10.1.2.129"));
    assert_false(govern_network_has("10.1.2.128/25", "10.1.2.127"));
    assert_true(govern_network_has("0.0.0.0/0", "8.8.8.8"));
    assert_true(govern_network_has("fd00:1::/32", "fd00:1:2::5"));
    assert_false(govern_network_has("fd00:1::/32", "fd00:2::5"));
    assert_false(govern_network_has("fd00:1::/32", "10.1.1.1"));
    assert_false(govern_network_has("10.1.0.0/16", "esx1"));
    assert_false(govern_network_has("10.1.0.0", "10.1.0.0"));
    assert_false(govern_network_has("10.1.0.0/-1", "10.1.0.0"));
    assert_false(govern_network_has("10.1.0.0/8x", "10.1.0.0"));
}

/* ---- places ---- */

static void assert_host(const char *uri, const char *host)
{
    char *found = govern_host_of_uri(uri);

    assert_string_equal(found, host);
    free(found);
}

static void hosts_are_found_in_uris(void **state)
{
    assert_host("qemu+ssh://root@esx1.example:22/system?keyfile=a@b", "esx1.example");
    assert_host("qemu+ssh://esx1/system", "esx1");
    assert_host("qemu+tcp://[fd00::5]:16509/system", "fd00::5");
    assert_host("qemu:///system", "localhost");
    assert_host("test:///tmp/x@y:5", "localhost");
    assert_host("nonsense", "localhost");
    assert_host("x://", "localhost");
    assert_host("x://[broken", "[broken");
}

static void named_limits_go_before_those_of_each(void **state)
{
    struct govern_limit *limits[] = {
        limit("{\"scope\":\"host\",\"name\":\"esx1\",\"rules\":[{\"syncs\":4}]}"),
        limit("{\"scope\":\"host\",\"rules\":[{\"syncs\":2}]}"),
        limit("{\"scope\":\"all\",\"rules\":[{\"syncs\":9}]}"),
        limit("{\"scope\":\"network\",\"name\":\"10.1.0.0/16\",\"rules\":[{\"syncs\":3}]}"),
        limit("{\"scope\":\"source\",\"name\":\"other\",\"rules\":[{\"syncs\":1}]}"),
    };
    struct govern_place one = {.source = (char[]){"src"}, .host = (char[]){"esx1"},
                               .address = (char[]){"10.1.5.5"}, .node = (char[]){"n"}};
    struct govern_place two = {.source = (char[]){"src"}, .host = (char[]){"esx2"},
                               .node = (char[]){"n"}};
    struct govern_entries entries = {0};
    size_t a[GOVERN_PLACE_LIMITS], b[GOVERN_PLACE_LIMITS];

    assert_int_equal(govern_place_limits(&one, limits, ARRAY_SIZE(limits), a), 3);
    assert_true(a[0] == 3 && a[1] == 2 && a[2] == 0);
    assert_int_equal(govern_place_limits(&two, limits, ARRAY_SIZE(limits), a), 2);
    assert_true(a[0] == 2 && a[1] == 1);

    assert_int_equal(govern_entries_add(&entries, &one, limits, ARRAY_SIZE(limits), 0, a), 3);
    assert_int_equal(govern_entries_add(&entries, &two, limits, ARRAY_SIZE(limits), 0, b), 2);
    assert_int_equal(entries.count, 4); /* network, all, esx1, and esx2 of each host */
    assert_true(a[1] == b[0]);
    assert_string_equal(entries.list[b[1]].key, "esx2");
    assert_int_equal(entries.list[b[1]].amount.syncs, 2);
    govern_entries_done(&entries);
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        govern_limit_free(limits[i]);
}

/* ---- slots ---- */

static struct slots_request request(int priority, int64_t waiting_ns, uint64_t ticket, size_t host)
{
    return (struct slots_request){.priority = priority, .waiting_ns = waiting_ns, .ticket = ticket,
                                  .scopes = {0, host}, .scope_count = 2};
}

static void priority_first_then_first_come(void **state)
{
    struct slots_scope scopes[] = {{.most = 2}, {.most = 0}};
    struct slots_request q[] = {request(50, 0, 1, 1), request(50, 0, 2, 1), request(60, 0, 3, 1)};

    slots_grant(scopes, 2, q, 3);
    assert_true(q[0].granted && !q[1].granted && q[2].granted);
    assert_int_equal(q[1].blocked_by, 0);
    assert_false(q[1].kept_free);
    assert_int_equal(scopes[0].running, 2);
    assert_int_equal(scopes[1].running, 2);
}

static void who_cannot_start_keeps_nobody_back(void **state)
{
    /* Host 1 is full; host 2 is not, although those of host 1 are first. */
    struct slots_scope scopes[] = {
        {.most = 4, .running = 1}, {.most = 1, .running = 1}, {.most = 1}};
    struct slots_request q[] = {request(90, 0, 1, 1), request(90, 0, 2, 1), request(10, 0, 3, 2)};

    slots_grant(scopes, 3, q, 3);
    assert_true(!q[0].granted && !q[1].granted && q[2].granted);
    assert_int_equal(q[0].blocked_by, 1);
}

static void waiting_raises_the_rank(void **state)
{
    struct slots_scope scopes[] = {{.most = 1}, {.most = 0}};
    struct slots_request q[] = {request(50, 0, 2, 1), request(0, 51 * MINUTE, 1, 1)};

    slots_grant(scopes, 2, q, 2);
    assert_true(!q[0].granted && q[1].granted);
}

static void a_place_is_kept_for_who_waits_for_long(void **state)
{
    /* It needs the host and the daemon at the same time; small ones of other hosts would always
     * take the daemon's place as soon as it is free. */
    struct slots_scope scopes[] = {
        {.most = 2, .running = 1}, {.most = 1, .running = 1}, {.most = 0}};
    struct slots_request q[] = {request(50, 6 * MINUTE, 1, 1), request(50, 0, 2, 2)};

    slots_grant(scopes, 3, q, 2);
    assert_true(!q[0].granted && !q[1].granted);
    assert_true(q[1].kept_free && !q[0].kept_free);
    assert_int_equal(q[1].blocked_by, 0);
    /* Not before it has waited for long. */
    q[0].waiting_ns = MINUTE;
    slots_grant(scopes, 3, q, 2);
    assert_true(!q[0].granted && q[1].granted);
}

/* However often small ones come, the large one's turn comes. */
static void nobody_starves(void **state)
{
    struct slots_scope scopes[] = {{.most = 1}, {.most = 1}, {.most = 0}};
    struct slots_request large = request(0, 0, 1, 1);
    unsigned rounds = 0;

    for (; rounds < 500 && !large.granted; rounds++) {
        struct slots_request q[2] = {large, request(100, 0, 2 + rounds, 2)};

        scopes[0].running = 0; /* each minute the running one ends and another one comes */
        scopes[1].running = scopes[2].running = 0;
        slots_grant(scopes, 3, q, 2);
        large = q[0];
        large.waiting_ns += MINUTE;
    }
    assert_true(large.granted);
    assert_in_range(rounds, 100, 102);
}

/* ---- shares ---- */

static struct share_flow flow(double demand, size_t count, size_t a, size_t b)
{
    return (struct share_flow){.scopes = {a, b}, .scope_count = count, .demand = demand};
}

static void assert_rate(struct share_flow f, double rate)
{
    if (f.rate < rate - 1e-3 || f.rate > rate + 1e-3)
        fail_msg("%g is not %g", f.rate, rate);
}

static void equal_shares_of_one_scope(void **state)
{
    struct share_scope scopes[] = {{90}};
    struct share_flow f[] = {flow(-1, 1, 0, 0), flow(-1, 1, 0, 0), flow(-1, 1, 0, 0)};

    share_divide(scopes, 1, f, 3);
    for (int i = 0; i < 3; i++)
        assert_rate(f[i], 30);
}

static void what_one_cannot_use_goes_to_others(void **state)
{
    struct share_scope scopes[] = {{90}};
    struct share_flow f[] = {flow(10, 1, 0, 0), flow(-1, 1, 0, 0), flow(35, 1, 0, 0),
                             flow(0, 1, 0, 0)};

    share_divide(scopes, 1, f, 4);
    assert_rate(f[0], 10);
    assert_rate(f[1], 45);
    assert_rate(f[2], 35);
    assert_rate(f[3], 0);
}

static void the_tightest_scope_counts(void **state)
{
    /* all: 100; host 1: 20 for two; host 2 without limit. */
    struct share_scope scopes[] = {{100}, {20}, {-1}};
    struct share_flow f[] = {flow(-1, 2, 0, 1), flow(-1, 2, 0, 1), flow(-1, 2, 0, 2)};

    share_divide(scopes, 3, f, 3);
    assert_rate(f[0], 10);
    assert_rate(f[1], 10);
    assert_rate(f[2], 80);
}

static void without_limits_nothing_is_limited(void **state)
{
    struct share_scope scopes[] = {{-1}};
    struct share_flow f[] = {flow(5, 1, 0, 0), flow(-1, 0, 0, 0)};

    share_divide(scopes, 1, f, 2);
    assert_true(f[0].rate == SHARE_UNLIMITED && f[1].rate == SHARE_UNLIMITED);
    share_divide(scopes, 1, NULL, 0);
}

/* For any figures: no scope is exceeded, nobody gets more than it wants, and who gets less than it
 * wants is in a scope that is used up and in which nobody has more. */
static void shares_are_max_min_fair(void **state)
{
    srand(7);
    for (int round = 0; round < 2000; round++) {
        struct share_scope scopes[5];
        struct share_flow f[12];
        double used[5] = {0};
        size_t n = 1 + (size_t)rand() % 12;

        for (size_t s = 0; s < 5; s++)
            scopes[s].capacity = rand() % 4 ? rand() % 1000 * 1e5 : -1;
        for (size_t i = 0; i < n; i++) {
            f[i] = flow(rand() % 3 ? -1 : rand() % 300 * 1e5, 2, 0, 1 + (size_t)rand() % 4);
        }
        share_divide(scopes, 5, f, n);
        for (size_t i = 0; i < n; i++)
            for (size_t s = 0; s < 2 && f[i].rate >= 0; s++)
                used[f[i].scopes[s]] += f[i].rate;
        for (size_t s = 0; s < 5; s++)
            assert_true(scopes[s].capacity < 0 || used[s] <= scopes[s].capacity * 1.000001);
        for (size_t i = 0; i < n; i++) {
            bool tight = false;

            assert_true(f[i].demand < 0 || f[i].rate <= f[i].demand * 1.000001);
            if (f[i].rate < 0 || (f[i].demand >= 0 && f[i].rate >= f[i].demand * 0.999999))
                continue;
            for (size_t s = 0; s < 2; s++) {
                size_t scope = f[i].scopes[s];
                bool most = true;

                if (scopes[scope].capacity < 0 || used[scope] < scopes[scope].capacity * 0.999999)
                    continue;
                for (size_t k = 0; k < n; k++)
                    for (size_t t = 0; t < 2; t++)
                        if (f[k].scopes[t] == scope && f[k].rate > f[i].rate * 1.000001 + 1e-3)
                            most = false;
                tight |= most;
            }
            assert_true(tight);
        }
    }
}

static void demand_follows_use(void **state)
{
    assert_true(share_demand(-1, 5) < 0);
    assert_true(share_demand(100, 95) < 0);
    assert_true(share_demand(100, 40) == 60);
    assert_true(share_demand(60, 40) == 60); /* still short of it */
    assert_true(share_demand(60, 58) < 0);   /* it can use more again */
}

/* ---- backing off ---- */

static void slow_reads_halve_the_rate(void **state)
{
    struct backoff b = {0};

    for (int i = 0; i < 5; i++)
        assert_int_equal(backoff_look(&b, 0.010, 100 * MB), BACKOFF_SAME);
    /* One slow moment is none. */
    assert_int_equal(backoff_look(&b, 0.200, 90 * MB), BACKOFF_SAME);
    assert_int_equal(backoff_look(&b, 0.010, 100 * MB), BACKOFF_SAME);
    assert_int_equal(backoff_look(&b, 0.200, 80 * MB), BACKOFF_SAME);
    assert_int_equal(backoff_look(&b, 0.200, 80 * MB), BACKOFF_LOWERED);
    assert_true(b.rate == 40 * MB);
    assert_int_equal(backoff_look(&b, 0.200, 40 * MB), BACKOFF_SAME);
    assert_int_equal(backoff_look(&b, 0.200, 40 * MB), BACKOFF_LOWERED);
    assert_true(b.rate == 20 * MB);
    /* A tenth of the best comes back with each good look: 30, 40 … 90, then all. */
    for (int i = 0; i < 7; i++)
        assert_int_equal(backoff_look(&b, 0.012, 20 * MB), BACKOFF_RAISED);
    assert_true(b.rate == 90 * MB);
    assert_int_equal(backoff_look(&b, 0.012, 90 * MB), BACKOFF_OVER);
    assert_true(b.rate == 0);
}

static void it_never_stands_still(void **state)
{
    struct backoff b = {0};

    backoff_look(&b, 0.010, 1 * MB);
    for (int i = 0; i < 100; i++)
        backoff_look(&b, 5, 100);
    assert_true(b.rate == BACKOFF_FLOOR_BYTES_S);
}

static void fast_reads_are_never_slow(void **state)
{
    struct backoff b = {0};

    backoff_look(&b, 0.0001, 100 * MB);
    for (int i = 0; i < 10; i++) /* a hundred times the usual, and still nothing */
        assert_int_equal(backoff_look(&b, 0.010, 100 * MB), BACKOFF_SAME);
}

static void a_source_that_is_slower_for_good_is_accepted(void **state)
{
    struct backoff b = {0};
    int looks = 0;

    backoff_look(&b, 0.020, 50 * MB);
    for (; looks < 10000 && (looks < 10 || b.rate > 0); looks++)
        backoff_look(&b, 0.100, b.rate > 0 ? b.rate : 10 * MB);
    assert_in_range(looks, 100, 1000);
}

static void odd_looks_change_nothing(void **state)
{
    struct backoff b = {0};

    assert_int_equal(backoff_look(&b, 0, 5), BACKOFF_SAME);
    assert_int_equal(backoff_look(&b, -1, 5), BACKOFF_SAME);
    assert_true(b.usual_s == 0);
    assert_int_equal(backoff_look(&b, 0.5, -5), BACKOFF_SAME);
    assert_true(b.usual_s == 0.5 && b.rate == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_rule_whose_time_it_is_counts),
        cmocka_unit_test(speeds_have_names_and_numbers),
        cmocka_unit_test(wrong_limits_are_told),
        cmocka_unit_test(networks_hold_addresses),
        cmocka_unit_test(hosts_are_found_in_uris),
        cmocka_unit_test(named_limits_go_before_those_of_each),
        cmocka_unit_test(priority_first_then_first_come),
        cmocka_unit_test(who_cannot_start_keeps_nobody_back),
        cmocka_unit_test(waiting_raises_the_rank),
        cmocka_unit_test(a_place_is_kept_for_who_waits_for_long),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(equal_shares_of_one_scope),
        cmocka_unit_test(what_one_cannot_use_goes_to_others),
        cmocka_unit_test(the_tightest_scope_counts),
        cmocka_unit_test(without_limits_nothing_is_limited),
        cmocka_unit_test(shares_are_max_min_fair),
        cmocka_unit_test(demand_follows_use),
        cmocka_unit_test(slow_reads_halve_the_rate),
        cmocka_unit_test(it_never_stands_still),
        cmocka_unit_test(fast_reads_are_never_slow),
        cmocka_unit_test(a_source_that_is_slower_for_good_is_accepted),
        cmocka_unit_test(odd_looks_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
