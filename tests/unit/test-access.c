/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, without a socket; and who is at the other end of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orchestrator/access.h"

static const struct access_policy both = {
    .own = 50, .write = {true, 100, "w"}, .read = {true, 200, "r"}};
static const struct access_policy neither = {.own = 50};

static enum access_role decide(const struct access_policy *policy, uid_t uid, gid_t a, gid_t b)
{
    const gid_t gids[] = {a, b};

    return access_decide(policy, uid, gids, 2);
}

static void roles_follow_user_and_groups(void **state)
{
    assert_int_equal(decide(&both, 0, 7, 8), ACCESS_WRITE);
    assert_int_equal(decide(&both, 50, 7, 8), ACCESS_WRITE);
    assert_int_equal(decide(&both, 51, 7, 8), ACCESS_NONE);
    assert_int_equal(decide(&both, 51, 100, 8), ACCESS_WRITE);
    assert_int_equal(decide(&both, 51, 7, 100), ACCESS_WRITE);
    assert_int_equal(decide(&both, 51, 200, 8), ACCESS_READ);
    assert_int_equal(decide(&both, 51, 200, 100), ACCESS_WRITE);
    assert_int_equal(access_decide(&both, 51, NULL, 0), ACCESS_NONE);
    assert_int_equal(access_decide(&both, 100, NULL, 0), ACCESS_NONE);
}

static void unknown_groups_let_nobody_in(void **state)
{
    assert_int_equal(decide(&neither, 51, 0, 0), ACCESS_NONE);
    assert_int_equal(decide(&neither, 51, 100, 200), ACCESS_NONE);
    assert_int_equal(decide(&neither, 0, 0, 0), ACCESS_WRITE);
}

/* access_check() with a role and a method: 0 or the code. */
static int check(enum access_role role, const char *method)
{
    const struct access_peer peer = {.role = role, .uid = 7, .name = "alice"};
    struct error *err = NULL;
    int r = access_check(&peer, method, &err);

    assert_int_equal(-r, error_code(err));
    if (r < 0)
        assert_non_null(strstr(error_text(err), "alice"));
    error_free(err);
    return r;
}

static void reading_is_get_and_nothing_else(void **state)
{
    static const char *const writes[] = {"POST", "DELETE", "PUT", "PATCH", "get", "", "GET "};

    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        assert_int_equal(check(ACCESS_READ, writes[i]), -EACCES);
        assert_int_equal(check(ACCESS_WRITE, writes[i]), 0);
        assert_int_equal(check(ACCESS_NONE, writes[i]), -EACCES);
    }
    assert_int_equal(check(ACCESS_READ, "GET"), 0);
    assert_int_equal(check(ACCESS_WRITE, "GET"), 0);
    assert_int_equal(check(ACCESS_NONE, "GET"), -EACCES);
    assert_int_equal(access_check(NULL, "GET", NULL), -EACCES);
}

static void a_group_that_was_named_must_exist(void **state)
{
    struct access_policy policy;
    struct error *err = NULL;

    assert_int_equal(access_policy_load(&policy, "no-such-group", NULL, &err), -ENOENT);
    assert_non_null(strstr(error_text(err), "groupadd --system no-such-group"));
    err = error_free(err);
    assert_int_equal(access_policy_load(&policy, "root", "-1", &err), -ENOENT);
    assert_non_null(strstr(error_text(err), "--read-group"));
    error_free(err);
    assert_int_equal(access_policy_load(&policy, "root", "12345", NULL), 0);
    assert_true(policy.write.known && policy.write.gid == 0);
    assert_true(policy.read.known && policy.read.gid == 12345);
    assert_int_equal(policy.own, geteuid());
}

static void the_kernel_tells_who_connected(void **state)
{
    const struct access_policy policy = {.own = geteuid()};
    struct access_peer peer;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    access_peer_of_socket(&policy, fds[0], ACCESS_WRITE, &peer);
    assert_int_equal(peer.role, ACCESS_WRITE);
    assert_int_equal(peer.uid, geteuid());
    access_peer_of_socket(&policy, fds[0], ACCESS_READ, &peer);
    assert_int_equal(peer.role, ACCESS_READ);
    access_peer_identify(&peer);
    assert_true(peer.name[0]);
    close(fds[0]);
    close(fds[1]);
    access_peer_of_socket(&policy, fds[0], ACCESS_WRITE, &peer);
    assert_int_equal(peer.role, ACCESS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_follow_user_and_groups),
        cmocka_unit_test(unknown_groups_let_nobody_in),
        cmocka_unit_test(reading_is_get_and_nothing_else),
        cmocka_unit_test(a_group_that_was_named_must_exist),
        cmocka_unit_test(the_kernel_tells_who_connected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
