/* SPDX-License-Identifier: Apache-2.0 */
/* Where the networks and disks of a plan's VMs go. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan-inside.h"

/* Where to point at for something that is missing in a map of the plan. */
static struct place map_place(const struct plan *plan, const char *field)
{
    const struct yaml_node *node = plan_yaml_child(plan->tree, field);

    return plan_yaml_place(node ? node : plan_yaml_child(plan->tree, "vms"));
}

/* "web1, web2 and 3 more" of the VMs in a list. */
static void print_some(const json_t *names, char *text, size_t size)
{
    size_t count = json_array_size(names), used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && i < 3 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 json_string_value(json_array_get(names, i)));
    if (count > 3 && used < size)
        snprintf(text + used, size - used, " and %zu more", count - 3);
}

/* Entries of a map that nothing used: a slip, or meant for another plan. */
static void warn_unused(struct expansion *x, const char *field, const json_t *used,
                        const char *what)
{
    const struct yaml_node *node = plan_yaml_child(x->plan->tree, field);

    for (const struct yaml_node *c = node ? node->children : NULL; c; c = c->next)
        if (!json_object_get(used, c->name))
            problem_add(x->warnings, c->key, field, "no selected VM has %s '%s'", what, c->name);
}

/* The networks of one VM; what is not mapped is collected as network → [VMs]. */
static void map_nics(struct expansion *x, struct member *m, json_t *used, json_t *unmapped)
{
    json_t *own = json_object_get(m->body, "networks"), *nic, *networks = json_object();
    json_t *common = json_object_get(x->plan->document, "networks");
    size_t i;

    json_array_foreach(json_object_get(m->vm, "nics"), i, nic) {
        const char *network = field_string(nic, "network", NULL);
        const char *to = network ? field_string(own, network, field_string(common, network, NULL))
                                 : NULL;

        if (!network || json_object_get(networks, network))
            continue;
        json_object_set_new(used, network, json_true());
        json_object_set_new(networks, network, json_string(to ? to : ""));
        if (to)
            continue;
        if (!json_object_get(unmapped, network))
            json_object_set_new(unmapped, network, json_array());
        json_array_append_new(json_object_get(unmapped, network), json_string(member_vm(m)));
    }
    json_object_set_new(m->body, "networks", networks);
}

/* A network that the VM's own entry maps must be one of its own. */
static void check_own_networks(struct expansion *x, const struct member *m)
{
    for (size_t i = 0; i < m->selector_count; i++) {
        const struct yaml_node *entry = selector_node(x->plan, m->selectors[i]);
        const struct yaml_node *networks = plan_yaml_child(entry, "networks");

        if (!networks || x->selected[m->selectors[i]] > 1)
            continue; /* about several VMs, not all of which have it */
        for (const struct yaml_node *c = networks->children; c; c = c->next)
            if (!json_object_get(json_object_get(m->body, "networks"), c->name))
                problem_add(x->problems, c->key, "networks", "VM %s has no network '%s'",
                            member_vm(m), c->name);
    }
}

void plan_map_networks(struct expansion *x)
{
    _cleanup_json_ json_t *used = json_object(), *unmapped = json_object();
    const char *network;
    json_t *vms;

    for (size_t i = 0; i < x->count; i++)
        map_nics(x, &x->members[i], used, unmapped);
    for (size_t i = 0; i < x->count; i++)
        check_own_networks(x, &x->members[i]);
    json_object_foreach(unmapped, network, vms) {
        char some[200];

        print_some(vms, some, sizeof(some));
        problem_add(x->problems, map_place(x->plan, "networks"), "networks",
                    "network '%s' of %s is not mapped: add '%s: NETWORK', or 'none' to unplug it",
                    network, some, network);
    }
    warn_unused(x, "networks", used, "the network");
}

/* True when `path` lies in the folder. */
static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    while (length > 1 && folder[length - 1] == '/')
        length--;
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* The entry of the plan's storage that is about a disk: its name, its pool, or the longest folder
 * its file lies in.  NULL: none. */
static const char *storage_entry(const json_t *storage, const json_t *disk)
{
    const char *name = field_string(disk, "name", ""), *pool = field_string(disk, "pool", "");
    const char *path = field_string(disk, "path", ""), *key, *best = NULL;
    json_t *value;

    json_object_foreach((json_t *)storage, key, value) {
        if (strcmp(key, name) == 0)
            return key;
        if (strcmp(key, pool) == 0 || (*key == '/' && lies_in(path, key)))
            if (!best || (*key == '/' && strlen(key) > strlen(best)))
                best = key;
    }
    return best;
}

static void map_disks(struct expansion *x, struct member *m, json_t *used)
{
    json_t *common = json_object_get(x->plan->document, "storage"), *disk;
    json_t *own = json_object_get(m->body, "storage"), *storage = json_object();
    size_t i;

    json_array_foreach(json_object_get(m->vm, "disks"), i, disk) {
        const char *name = field_string(disk, "name", ""), *key = storage_entry(common, disk);
        json_t *folder = json_object_get(own, name);

        if (key)
            json_object_set_new(used, key, json_true());
        if (!folder && key)
            folder = json_object_get(common, key);
        if (folder)
            json_object_set(storage, name, folder);
    }
    if (json_object_size(storage))
        json_object_set(m->body, "storage", storage);
    else
        json_object_del(m->body, "storage");
    json_decref(storage);
}

/* A disk that the VM's own entry names must be one of its own. */
static void check_own_disks(struct expansion *x, const struct member *m)
{
    for (size_t i = 0; i < m->selector_count; i++) {
        const struct yaml_node *entry = selector_node(x->plan, m->selectors[i]);
        const struct yaml_node *storage = plan_yaml_child(entry, "storage");

        if (!storage || x->selected[m->selectors[i]] > 1)
            continue;
        for (const struct yaml_node *c = storage->children; c; c = c->next)
            if (!json_object_get(json_object_get(m->body, "storage"), c->name))
                problem_add(x->problems, c->key, "storage", "VM %s has no disk '%s'",
                            member_vm(m), c->name);
    }
}

void plan_map_storage(struct expansion *x)
{
    _cleanup_json_ json_t *used = json_object();

    for (size_t i = 0; i < x->count; i++)
        map_disks(x, &x->members[i], used);
    for (size_t i = 0; i < x->count; i++)
        check_own_disks(x, &x->members[i]);
    warn_unused(x, "storage", used, "a disk, pool or folder");
}
