/* SPDX-License-Identifier: Apache-2.0 */
/* Knowing that a started guest is really up. */
#include "orchestrator/node/node-libvirt.h"

#include <libvirt/libvirt-qemu.h>
#include <string.h>

#include "base/clock.h"

#define PING_TIMEOUT_S 2
#define POLL_NS (500 * NS_PER_MS)

static bool agent_answers(virDomainPtr domain)
{
    char *answer =
        virDomainQemuAgentCommand(domain, "{\"execute\":\"guest-ping\"}", PING_TIMEOUT_S, 0);

    free(answer);
    return answer != NULL;
}

static int ended(struct node *node, const char *name, const char *state, struct error **err)
{
    return error_set(err, EIO, "VM \"%s\" on %s is %s instead of running; its console log says why",
                     name, node->uri, state);
}

int node_wait_up(struct node *node, const char *name, uint64_t timeout_ns, uint64_t settle_ns,
                 bool (*cancelled)(void *), void *context, const char **ret_how, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    uint64_t start = clock_now_ns();
    int r = node_need(node, name, &domain, err);

    while (r == 0) {
        const char *state = node_domain_state(domain);
        uint64_t gone = clock_now_ns() - start;

        /* Whoever waits (cancelled) may be about to bring the disk back. */
        if (strcmp(state, "running") != 0 && !node_stopped_by_disk(domain))
            return ended(node, name, state, err);
        *ret_how = "agent";
        if (agent_answers(domain))
            return 0;
        *ret_how = "running";
        if (gone >= settle_ns && strcmp(node_domain_state(domain), "running") == 0)
            return 0;
        if (gone >= timeout_ns)
            return error_set(err, ETIMEDOUT,
                             "VM \"%s\" on %s runs, but its guest agent does not answer after "
                             "%llu s; look at its console",
                             name, node->uri, (unsigned long long)(timeout_ns / NS_PER_S));
        if (cancelled && cancelled(context))
            return error_set(err, ECANCELED, "waiting for VM \"%s\" was cancelled", name);
        clock_sleep_ns(POLL_NS);
    }
    return r;
}
