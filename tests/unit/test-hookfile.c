/* SPDX-License-Identifier: Apache-2.0 */
/* Which files are hooks, and how one that is run ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "orchestrator/hookfile.h"

static char folder[64];
static struct hookfile_list list;

static int set_up(void **state)
{
    strcpy(folder, "/tmp/test-hookfile-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    hookfile_list_done(&list);
    return fdio_remove_tree(folder);
}

static char *at(const char *name)
{
    return str_format("%s/%s", folder, name);
}

static char *put(const char *name, const char *script, mode_t mode)
{
    _cleanup_free_ char *parent = at("x.d"), *text = str_format("#!/bin/sh\n%s\n", script);
    char *path = at(name);

    fdio_make_dirs(parent, 0755);
    assert_int_equal(fdio_replace_file(path, text, strlen(text), 0600), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static int find(const char *expected, const char *sentence)
{
    struct error *err = NULL;
    char names[200] = "";
    int r;

    hookfile_list_done(&list);
    r = hookfile_find(folder, "x", &list, &err);
    for (size_t i = 0; i < list.count; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s ",
                 strrchr(list.paths[i], '/') + 1);
    assert_string_equal(names, expected);
    assert_true((r < 0) == (sentence != NULL));
    if (sentence && !strstr(error_text(err), sentence))
        fail_msg("%s", error_text(err));
    error_free(err);
    return r;
}

static void executables_in_the_order_of_names(void **state)
{
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {{"x.d/20-b", 0755}, {"x.d/10-a", 0700}, {"x.d/9", 0755},
                 {"x.d/README", 0644}, {"x.d/.hidden", 0755}, {"x.d/old~", 0755}};

    find("", NULL);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        free(put(files[i].name, "", files[i].mode));
    find("10-a 20-b 9 ", NULL);
    hookfile_list_done(&list);
    assert_int_equal(hookfile_find("/nowhere", "x", &list, NULL), 0);
}

static void what_others_may_write_is_refused(void **state)
{
    _cleanup_free_ char *hook = put("x.d/a", "", 0775), *sub = at("x.d");

    assert_int_equal(find("", "chmod go-w"), -EPERM);
    chmod(hook, 0757);
    assert_int_equal(find("", hook), -EPERM);
    chmod(hook, 0755);
    find("a ", NULL);
    if (geteuid() == 0) {
        assert_int_equal(chown(hook, 12345, 0), 0);
        assert_int_equal(find("", "user 12345"), -EPERM);
        assert_int_equal(chown(hook, 0, 0), 0);
    }
    chmod(sub, 0777);
    assert_int_equal(find("", sub), -EPERM);
    chmod(sub, 0755);
    chmod(folder, 0770);
    assert_int_equal(find("", folder), -EPERM);
}

/* ---- running ---- */

static char output[2000];
static bool stop;

static void on_line(void *context, const char *text)
{
    snprintf(output + strlen(output), sizeof(output) - strlen(output), "%s|", text);
}

static bool on_interrupted(void *context)
{
    return stop;
}

static int run(const char *script, uint64_t timeout_ns, const char *lines, const char *sentence)
{
    _cleanup_free_ char *path = put("x.d/hook", script, 0755);
    char *env[] = {(char *)"SLIPWAY_EVENT=x", NULL};
    const struct hookfile_run hook = {
        .path = path, .input = "{\"a\": 1}", .env = env, .timeout_ns = timeout_ns,
        .interrupted = on_interrupted, .line = on_line};
    struct error *err = NULL;
    int r;

    output[0] = '\0';
    r = hookfile_execute(&hook, &err);
    assert_int_equal(-r, error_code(err));
    if (lines)
        assert_string_equal(output, lines);
    if (sentence && !strstr(error_text(err), sentence))
        fail_msg("%s", error_text(err));
    error_free(err);
    return r;
}

#define LONG (60 * NS_PER_S)

static void output_and_exit_code_are_told(void **state)
{
    assert_int_equal(run("cat; echo; echo $SLIPWAY_EVENT >&2; pwd", LONG, "{\"a\": 1}|x|/|", NULL),
                     0);
    assert_int_equal(run("exit 0", LONG, "", NULL), 0);
    assert_int_equal(run("echo one; echo two >&2; exit 3", LONG, "one|two|", "ended with 3: two"),
                     -EIO);
    assert_int_equal(run("exit 3", LONG, "", "hook ended with 3"), -EIO);
    assert_int_equal(run("kill -9 $$", LONG, "", "signal 9"), -EIO);
    assert_int_equal(run("printf 'a\\033[1mb\\rc\\n\\n\\nd'", LONG, "a [1mbc|d|", NULL), 0);
    assert_int_equal(run("head -c 1200 /dev/zero | tr '\\0' x", LONG, NULL, NULL), 0);
    assert_int_equal(strcspn(output, "|"), 500);
    assert_int_equal(run("exec sh -c 'seq 100000; exit 5'", LONG, NULL, "5: 100000"), -EIO);
    assert_int_equal(run("sleep 300 & echo left; exit 0", LONG, "left|", NULL), 0);
}

/* The process whose number the hook wrote down is gone. */
static void assert_gone(const char *file)
{
    _cleanup_free_ char *path = at(file), *text = NULL;

    assert_int_equal(fdio_read_file(path, 20, &text, NULL), 0);
    for (int i = 0; i < 500 && proc_alive(atoi(text)); i++)
        clock_sleep_ns(10 * NS_PER_MS);
    assert_false(proc_alive(atoi(text)));
}

static void one_that_hangs_is_ended_with_its_children(void **state)
{
    _cleanup_free_ char *script = str_format("sleep 300 & echo $! > %s/pid; echo up; wait", folder);

    assert_int_equal(run(script, NS_PER_S / 2, "up|", "within 0 s and was ended: up"), -ETIMEDOUT);
    assert_gone("pid");
    free(script);
    script = str_format("trap '' TERM; echo $$ > %s/pid; sleep 300; sleep 300", folder);
    assert_int_equal(run(script, NS_PER_S / 2, NULL, NULL), -ETIMEDOUT);
    assert_gone("pid");
    stop = true;
    assert_int_equal(run("sleep 300", LONG, NULL, "was interrupted"), -ECANCELED);
    stop = false;
}

static void what_cannot_be_run_is_named(void **state)
{
    _cleanup_free_ char *path = put("x.d/hook", "", 0755);
    const struct hookfile_run hook = {.path = path, .input = "", .timeout_ns = LONG,
                                      .interrupted = on_interrupted, .line = on_line};
    struct error *err = NULL;

    assert_int_equal(fdio_replace_file(path, "#!/no/such/shell\n", 17, 0755), 0);
    assert_int_equal(hookfile_execute(&hook, &err), -ENOENT);
    assert_non_null(strstr(error_text(err), path));
    error_free(err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(executables_in_the_order_of_names),
        TEST(what_others_may_write_is_refused),
        TEST(output_and_exit_code_are_told),
        TEST(one_that_hangs_is_ended_with_its_children),
        TEST(what_cannot_be_run_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
