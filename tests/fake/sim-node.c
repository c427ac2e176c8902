/* SPDX-License-Identifier: Apache-2.0 */
/* A node of records. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/node/node.h"
#include "tests/fake/sim.h"

struct node {
    char unused;
};

int node_events_start(struct error **err)
{
    return 0;
}

int node_open(const char *uri, const char *embed_root, struct node **ret_node, struct error **err)
{
    *ret_node = mem_new(1, sizeof(**ret_node));
    return 0;
}

void node_close(struct node *n)
{
    free(n);
}

const char *node_uri(const struct node *n)
{
    return "sim://node/0";
}

int node_domain_xml(const json_t *description, const json_t *placement, char **ret_xml,
                    struct error **err)
{
    *ret_xml = json_dumps(placement, JSON_COMPACT);
    return 0;
}

static struct sim_record look(const char *name)
{
    struct sim_record record;

    sim_lock();
    record = *sim_record("node", name);
    sim_unlock();
    return record;
}

static void set(const char *name, bool exists, bool running)
{
    struct sim_record *record;

    sim_lock();
    record = sim_record("node", name);
    record->exists = exists;
    record->running = running;
    sim_unlock();
}

int node_check(struct node *n, const json_t *description, const json_t *placement,
               struct error **err)
{
    const char *name = field_string(placement, "name", "");

    return look(name).exists ? error_set(err, EEXIST, "the node has a VM named %s already", name)
                             : 0;
}

int node_facts(struct node *n, json_t **ret_facts, struct error **err)
{
    *ret_facts = json_pack("{s:s, s:s, s:s, s:i, s:I, s:{s:{s:b, s:b}}, s:{s:b}, s:{}}", "uri",
                           node_uri(n), "libvirt", "9.0.0", "qemu", "7.2.0", "vcpus", 512,
                           "memory_bytes", (json_int_t)16 << 40, "archs", "x86_64", "uefi", 1,
                           "secure_boot", 1, "networks", "default", 1, "vms");
    return 0;
}

int node_define(struct node *n, const char *xml, struct error **err)
{
    _cleanup_json_ json_t *placement = json_loads(xml, 0, NULL);
    const char *name = field_string(placement, "name", "");

    set(name, true, look(name).running);
    return 0;
}

int node_undefine(struct node *n, const char *name, struct error **err)
{
    set(name, false, false);
    return 0;
}

int node_start(struct node *n, const char *name, struct error **err)
{
    set(name, true, true);
    return 0;
}

int node_stop(struct node *n, const char *name, bool force, struct error **err)
{
    set(name, look(name).exists, false);
    return 0;
}

int node_ask_off(struct node *n, const char *name, struct error **err)
{
    return node_stop(n, name, false, err);
}

int node_state(struct node *n, const char *name, const char **ret_state, struct error **err)
{
    struct sim_record record = look(name);

    *ret_state = !record.exists ? "absent" : record.running ? "running" : "off";
    return 0;
}

int node_resume(struct node *n, const char *name, struct error **err)
{
    return 0;
}

int node_reopen_disks(struct node *n, const char *name, const json_t *places, struct error **err)
{
    return 0;
}

int node_wait_up(struct node *n, const char *name, uint64_t timeout_ns, uint64_t settle_ns,
                 bool (*cancelled)(void *), void *context, const char **ret_how,
                 struct error **err)
{
    clock_sleep_ns((10 + sim_number(name, "boot", 50)) * NS_PER_S);
    *ret_how = "agent";
    return 0;
}

bool node_has_tpm(struct node *node, const char *arch)
{
    return false;
}

int node_guest_listens(struct node *n, const char *name, unsigned port, struct error **err)
{
    return 1;
}
