/* SPDX-License-Identifier: Apache-2.0 */
/* A node of files: FOLDER/VM.xml is a defined domain, FOLDER/VM.state says how it is, FOLDER/facts.json
 * what the node has where that differs from what it has by itself. */
#include <dirent.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/node/node.h"
#include "tests/fake/fake.h"

struct node {
    char *folder;
};

int node_events_start(struct error **err)
{
    return 0;
}

int node_open(const char *uri, const char *embed_root, struct node **ret_node, struct error **err)
{
    const char *folder = uri ? fake_folder(uri) : embed_root;
    struct node *n;

    if (!folder || fdio_make_dirs(folder, 0700) < 0)
        return error_set(err, ECONNREFUSED, "the node %s cannot be reached", uri ? uri : "?");
    n = mem_new(1, sizeof(*n));
    n->folder = str_dup(folder);
    *ret_node = n;
    return 0;
}

void node_close(struct node *n)
{
    free(n->folder);
    free(n);
}

const char *node_uri(const struct node *n)
{
    return n->folder;
}

int node_domain_xml(const json_t *description, const json_t *placement, char **ret_xml,
                    struct error **err)
{
    *ret_xml = json_dumps(placement, JSON_INDENT(1) | JSON_SORT_KEYS);
    return *ret_xml ? 0 : error_set(err, EINVAL, "no placement");
}

static char *path_of(struct node *n, const char *name, const char *what)
{
    return str_format("%s/%s.%s", n->folder, name, what);
}

int node_check(struct node *n, const json_t *description, const json_t *placement,
               struct error **err)
{
    _cleanup_free_ char *path = path_of(n, field_string(placement, "name", ""), "xml");
    const char *from;
    json_t *to;

    if (access(path, F_OK) == 0)
        return error_set(err, EEXIST, "the node has a VM named %s already",
                         field_string(placement, "name", ""));
    json_object_foreach(json_object_get(placement, "networks"), from, to)
        if (strcmp(json_string_value(to), "default") != 0 &&
            strcmp(json_string_value(to), "isolated") != 0)
            return error_set(err, ENOENT, "the node has no network '%s'", json_string_value(to));
    return fake_failure(n->folder, "check", err);
}

/* Every FOLDER/NAME.xml is a VM. */
static json_t *vms_of(struct node *n)
{
    struct dirent **entries;
    int count = scandir(n->folder, &entries, NULL, alphasort);
    json_t *vms = json_object();

    for (int i = 0; i < count; i++) {
        _cleanup_free_ char *name = str_dup(entries[i]->d_name);
        size_t length = strlen(name);

        free(entries[i]);
        if (length < 5 || strcmp(name + length - 4, ".xml") != 0)
            continue;
        name[length - 4] = '\0';
        json_object_set_new(vms, name, json_null());
    }
    free(entries);
    return vms;
}

int node_facts(struct node *n, json_t **ret_facts, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/facts.json", n->folder);
    _cleanup_json_ json_t *more = json_load_file(path, 0, NULL);
    int r = fake_failure(n->folder, "facts", err);

    if (r < 0)
        return r;
    *ret_facts = json_pack("{s:s, s:s, s:s, s:i, s:I, s:{s:{s:b, s:b}}, s:{s:b}, s:o}", "uri",
                           n->folder, "libvirt", "9.0.0", "qemu", "7.2.0", "vcpus", 8,
                           "memory_bytes", (json_int_t)64 << 30, "archs", "x86_64", "uefi", 1,
                           "secure_boot", 1, "networks", "default", 1, "vms", vms_of(n));
    if (more)
        json_object_update(*ret_facts, more);
    return 0;
}

int node_define(struct node *n, const char *xml, struct error **err)
{
    _cleanup_json_ json_t *placement = json_loads(xml, 0, NULL);
    _cleanup_free_ char *path = path_of(n, field_string(placement, "name", ""), "xml");
    int r = fake_failure(n->folder, "define", err);

    fake_point("define", "before");
    if (r == 0)
        r = fdio_replace_file(path, xml, strlen(xml), 0600);
    fake_point("define", "after");
    return r;
}

int node_undefine(struct node *n, const char *name, struct error **err)
{
    _cleanup_free_ char *path = path_of(n, name, "xml");

    _cleanup_free_ char *state = path_of(n, name, "state");
    int r = fake_failure(n->folder, "undefine", err);

    fake_point("undefine", "before");
    if (r < 0)
        return r;
    unlink(state);
    return unlink(path) < 0 && errno != ENOENT ? error_set(err, EIO, "cannot undefine") : 0;
}

int node_start(struct node *n, const char *name, struct error **err)
{
    _cleanup_free_ char *path = path_of(n, name, "state");
    int r = fake_failure(n->folder, "start", err);

    fake_point("node-start", "before");
    if (r == 0)
        r = fdio_replace_file(path, "running", 7, 0600);
    fake_point("node-start", "after");
    return r;
}

int node_stop(struct node *n, const char *name, bool force, struct error **err)
{
    _cleanup_free_ char *path = path_of(n, name, "state");
    int r = fake_failure(n->folder, "stop", err);

    if (r < 0)
        return r;
    r = access(path, F_OK) == 0 ? fdio_replace_file(path, "off", 3, 0600) : 0;
    fake_point("node-stop", "after");
    return r < 0 ? error_set(err, EIO, "cannot stop") : 0;
}

int node_ask_off(struct node *n, const char *name, struct error **err)
{
    _cleanup_free_ char *hang = path_of(n, name, "hang");

    return access(hang, F_OK) == 0 ? 0 : node_stop(n, name, false, err);
}

int node_state(struct node *n, const char *name, const char **ret_state, struct error **err)
{
    _cleanup_free_ char *path = path_of(n, name, "state"), *text = NULL;

    if (fake_failure(n->folder, "state", err) < 0)
        return -EIO;
    *ret_state = "absent";
    if (fdio_read_file(path, 20, &text, NULL) == 0)
        *ret_state = str_starts(text, "off") ? "off" : "running";
    return 0;
}

int node_resume(struct node *n, const char *name, struct error **err)
{
    _cleanup_free_ char *path = path_of(n, name, "state"), *text = NULL;

    if (fdio_read_file(path, 20, &text, NULL) < 0 || !str_starts(text, "paused"))
        return 0;
    fake_point("resume", "before");
    return fdio_replace_file(path, "running", 7, 0600) < 0 ? -EIO : 1;
}

int node_reopen_disks(struct node *n, const char *name, const json_t *places, struct error **err)
{
    _cleanup_free_ char *path = path_of(n, name, "reopened"), *text = json_dumps(places, 0);
    int r = fake_failure(n->folder, "reopen", err);

    fake_point("reopen", "before");
    if (r == 0)
        r = fdio_replace_file(path, text, strlen(text), 0600);
    fake_point("reopen", "after");
    return r;
}

int node_wait_up(struct node *n, const char *name, uint64_t timeout_ns, uint64_t settle_ns,
                 bool (*cancelled)(void *), void *context, const char **ret_how,
                 struct error **err)
{
    fake_point("wait-up", "before");
    *ret_how = "agent";
    return fake_failure(n->folder, "wait_up", err);
}

/* The ports of all guests are in FOLDER/listens. */
int node_guest_listens(struct node *n, const char *name, unsigned port, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/listens", n->folder), *text = NULL;
    _cleanup_free_ char *wanted = str_format("%u", port);

    if (fdio_read_file(path, 100, &text, NULL) < 0)
        return -EAGAIN;
    return strcmp(text, wanted) == 0;
}

bool node_has_tpm(struct node *node, const char *arch)
{
    return false;
}
