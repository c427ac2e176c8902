/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "morph-net.h"

#include "base/align.h"
#include "base/str.h"
#include "morph/buffer.h"
#include "morph/change.h"
#include "morph/netpins.h"

static const char *const untouched[][2] = {
    {"/etc/hostname", "web1\n"},
    {"/etc/resolv.conf", "nameserver 192.0.2.53\n"},
    {"/etc/hosts", "127.0.0.1 localhost web1\n"},
    {"/etc/machine-id", "2f9b5a3a0b3e4c7d8f6e5d4c3b2a1908\n"},
    {"/var/lib/dhcp/dhclient.leases", "default-duid \"\\000\\001\";\n"},
};

int net_set_up(void **state)
{
    struct net *net = mem_new(1, sizeof(*net));

    net->request.nics = net->nics;
    for (size_t i = 0; i < ARRAY_SIZE(untouched); i++)
        fake_text(&net->guest, untouched[i][0], untouched[i][1]);
    *state = net;
    return 0;
}

int net_tear_down(void **state)
{
    struct net *net = *state;

    netpins_forget(&net->facts);
    for (size_t i = 0; i < net->request.nic_count; i++)
        free(net->nics[i].name);
    free(net->notes);
    free(net->paths);
    fake_done(&net->guest);
    free(net);
    return 0;
}

void net_nic(struct net *net, const char *mac, const char *name)
{
    struct nic *nic = &net->nics[net->request.nic_count++];

    snprintf(nic->mac, sizeof(nic->mac), "%s", mac);
    nic->name = str_dup(name);
}

static void make(struct net *net, struct plan *plan)
{
    static const struct change_ops *const changes[] = {&change_linux_network,
                                                       &change_linux_cloudinit};

    net->facts.tree = fake_tree(&net->guest);
    net->facts.request = &net->request;
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        _cleanup_error_ struct error *err = NULL;

        if (changes[i]->apply(&net->facts, plan, &err) < 0)
            fail_msg("%s", error_text(err));
    }
}

static void keep_story(struct net *net, const struct plan *plan)
{
    _cleanup_buffer_ struct buffer notes = {0}, paths = {0};

    for (size_t i = 0; i < plan->note_count; i++)
        buffer_printf(&notes, "%s\n", plan->notes[i].text);
    for (size_t i = 0; i < plan->edit_count; i++)
        buffer_printf(&paths, "%s ", plan->edits[i].path);
    free(net->notes);
    free(net->paths);
    net->notes = buffer_steal(&notes);
    net->paths = buffer_steal(&paths);
    net->edits = plan->edit_count;
}

void net_morph(struct net *net)
{
    struct plan plan = {0}, again = {0};

    make(net, &plan);
    keep_story(net, &plan);
    for (size_t i = 0; i < plan.edit_count; i++)
        assert_true(*plan.edits[i].what && *plan.edits[i].why);
    fake_apply(&net->guest, &plan);
    plan_done(&plan);
    make(net, &again);
    if (again.edit_count > 0)
        fail_msg("a second plan writes %s (%s):\n%s", again.edits[0].path, again.edits[0].what,
                 again.edits[0].data);
    plan_done(&again);
    for (size_t i = 0; i < ARRAY_SIZE(untouched); i++)
        assert_string_equal(net_text(net, untouched[i][0]), untouched[i][1]);
}

const char *net_text(struct net *net, const char *path)
{
    struct fake_file *f = fake_find(&net->guest, path);

    return f ? f->data : "(none)";
}
