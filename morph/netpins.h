/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which name belongs to which card, in this order: the caller says so; the guest recorded it (udev
 * rules, .link files, MAC addresses beside names, enx… names); one of each is left; by order, which
 * is a guess and is said to be one.
 */
#pragma once

#include "morph/netconfig.h"
#include "morph/plan.h"

/* Leaves facts->pins empty. */
void netpins_forget(struct facts *facts);

/* Fills facts->pins anew; what was guessed goes into the plan as warnings. */
void netpins_decide(struct facts *facts, struct plan *plan, const struct netconfig *config);

/* The MAC address of the only card that nothing configures, by name or MAC address, while files are
 * for exactly one card that the VM does not have and tell no name for it: it is the same card with
 * a new address.  NULL otherwise. */
const char *netpins_heir(const struct facts *facts, const struct netconfig *config);

/* Warns when the guest's configuration calls a card otherwise than the caller. */
void netpins_check_names(const struct facts *facts, struct plan *plan,
                         const struct netconfig *config);

/* Warns when eth0, eth1 ... are to be other cards than the kernel will call so at first: a system
 * that renames without a detour cannot exchange names. */
void netpins_check_order(const struct facts *facts, struct plan *plan);
