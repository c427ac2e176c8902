/* SPDX-License-Identifier: Apache-2.0 */
/* Engines that are tests/fake/engine.py. */
#include "orchestrator/enginehost.h"

#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "tests/fake/fake.h"

int engine_host_create(const char *store, const char *vm_name, const struct engine_disk_spec *disks,
                       size_t disk_count, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/engine.json", store), *text = NULL;
    json_t *targets = json_object(), *state;

    if (access(path, F_OK) == 0) {
        json_decref(targets);
        return error_set(err, EEXIST, "%s already holds a store", store);
    }
    if (fake_failure(store, "create", err) < 0) {
        json_decref(targets);
        return -EIO;
    }
    fake_point("engine-create", "before");
    fdio_make_dirs(store, 0700);
    for (size_t i = 0; i < disk_count; i++) {
        fdio_replace_file(disks[i].target, "", 0, 0600);
        json_object_set_new(targets, disks[i].name, json_string(disks[i].target));
    }
    state = json_pack("{s:s, s:n, s:s, s:b, s:o}", "mode", "init", "generation", "snapshot", "",
                      "local_changes", 0, "targets", targets);
    text = json_dumps(state, 0);
    json_decref(state);
    fdio_replace_file(path, text, strlen(text), 0600);
    fake_point("engine-create", "after");
    return 0;
}

int engine_host_attach(const char *store, struct control **ret_control, bool *ret_started,
                       struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/" CONTROL_SOCKET_NAME, store);
    _cleanup_free_ char *state = str_format("%s/engine.json", store);
    char *argv[] = {(char *)"/usr/bin/python3", (char *)FAKE_ENGINE, (char *)store, NULL};
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    pid_t pid;
    int r;

    if (ret_started)
        *ret_started = false;
    r = fake_failure(store, "attach", err);
    if (r < 0)
        return r;
    if (control_connect(path, ret_control, NULL) == 0)
        return 0;
    if (access(state, F_OK) < 0)
        return error_set(err, ENOENT, "%s holds no store", store);
    options.new_session = true;
    r = proc_spawn(argv, &options, &pid, err);
    for (int i = 0; r == 0 && i < 500; i++) {
        if (control_connect(path, ret_control, NULL) == 0) {
            if (ret_started)
                *ret_started = true;
            return 0;
        }
        clock_sleep_ns(20 * NS_PER_MS);
    }
    return r < 0 ? r : error_set(err, ECONNREFUSED, "the engine of %s did not start", store);
}

int engine_host_stop(const char *store, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/" CONTROL_SOCKET_NAME, store);
    struct control *control;
    int r = fake_failure(store, "stop", err);

    fake_point("engine-stop", "before");
    if (r < 0)
        return r;
    while (control_connect(path, &control, NULL) == 0) {
        control_call(control, "stop", NULL, NULL, NULL, NULL, NULL);
        control_close(control);
        clock_sleep_ns(10 * NS_PER_MS);
    }
    return 0;
}

char *engine_host_uri(const char *store, const char *export_name)
{
    return str_format("nbd+unix:///%s?socket=%s/" NBD_SOCKET_NAME, export_name, store);
}

int engine_host_rest_status(const char *store, json_t **ret_status, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/engine.json", store);

    *ret_status = json_load_file(path, 0, NULL);
    return *ret_status ? 0 : error_set(err, ENOENT, "%s holds no store", store);
}
