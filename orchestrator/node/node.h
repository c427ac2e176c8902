/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destination: a libvirt host that defines and runs the moved VM.
 *
 * One thread at a time per struct node.  libvirt's event loop runs in a thread of its own
 * (node_events_start), which must have been started once before any connection is opened.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct node;

/* Starts libvirt's event loop thread; harmless when repeated.  Used by provider and node. */
int node_events_start(struct error **err);

/* To be called before `uri` is opened by whoever opens it.  libvirt never stops the threads of its
 * embedded driver, and they crash when exit() takes the libraries away below them; so a process
 * that opened qemu:///embed ends without their destructors.  Other URIs: nothing happens. */
void node_expect(const char *uri);

/*
 * uri NULL: qemu:///system where a libvirtd answers, otherwise libvirt's embedded driver with its
 * files under embed_root (made when missing; no daemon needed, domains survive this process).
 */
int node_open(const char *uri, const char *embed_root, struct node **ret_node, struct error **err);
void node_close(struct node *node);

/* The URI that was chosen; owned by node. */
const char *node_uri(const struct node *node);

/*
 * The domain XML for a VM, a pure function (golden-tested).
 *   description   as source_ops.describe gives it
 *   placement     {name, uuid?, accel: "kvm"|"tcg", console_log?: file for the serial console,
 *                  vcpus?, memory_bytes?: instead of the source's, disk_bus?: "virtio" | "scsi" |
 *                  "sata" | "ide", machine?: "q35" | "pc": instead of hints and source,
 *                  disks: [{name, path | nbd_uri, format: "raw", direct?: bool}],
 *                  networks: {"source network": "destination network" | "bridge:NAME" | "user" |
 *                             "none"},
 *                  hints?: as slipway-morph gives them}
 *                 direct: false where the file system has no O_DIRECT (default true);
 *                 "user": QEMU's own NAT; "none": the NIC is there, its link is down
 * CPU count, memory, firmware, machine family, disk order, MACs and serial console are kept; disks
 * and NICs become virtio, unless a hint says that the guest has no driver for it; unknown values of
 * hints count as none.  A guest agent channel is added.  A source network without a mapping is
 * EINVAL, naming it.  The caller frees *ret_xml.
 */
int node_domain_xml(const json_t *description, const json_t *placement, char **ret_xml,
                    struct error **err);

/* Checks that a VM of this name/uuid is not there yet (EEXIST) and that networks exist (ENOENT). */
int node_check(struct node *node, const json_t *description, const json_t *placement,
               struct error **err);

/*
 * What the node is and has, a new object:
 *   {uri, libvirt, qemu: "7.2.15", vcpus, memory_bytes, memory_free_bytes,
 *    archs: {x86_64: {uefi, secure_boot, kvm}}, networks: {NAME: started}, vms: {NAME: uuid}}
 * Only reads.
 */
int node_facts(struct node *node, json_t **ret_facts, struct error **err);

/* Can VMs of this architecture have an emulated TPM there (is swtpm installed)? */
bool node_has_tpm(struct node *node, const char *arch);

/* Idempotent: a domain that was defined before with the same uuid and name is replaced. */
int node_define(struct node *node, const char *xml, struct error **err);
int node_start(struct node *node, const char *name, struct error **err); /* 0 when running */
int node_stop(struct node *node, const char *name, bool force, struct error **err);

/* Asks a running guest to shut down and does not wait; 0 when there is nothing to ask. */
int node_ask_off(struct node *node, const char *name, struct error **err);
int node_undefine(struct node *node, const char *name, struct error **err); /* 0 when absent */

/* "running", "off", "paused", "crashed" or "absent": static text. */
int node_state(struct node *node, const char *name, const char **ret_state, struct error **err);

/* A VM that stands still because of an error of a disk goes on: 1.  Nothing to do, or no such VM:
 * 0. It stops again when the disk is not back. */
int node_resume(struct node *node, const char *name, struct error **err);

/*
 * Exchanges, while the VM runs, the NBD exports below its disks for the files they were about:
 * places is [{name, path}], the export has the name of the disk.  Disks that have their file
 * already are left alone, so it can be repeated.  The VM has all its disks also after a failure,
 * some still by NBD.
 */
int node_reopen_disks(struct node *node, const char *name, const json_t *places,
                      struct error **err);

/* Waits until the guest agent answers (or, without an agent, until the domain has been running
 * without a crash for settle_ns).  ETIMEDOUT with a sentence. *ret_how is static text: "agent" or
 * "running". */
int node_wait_up(struct node *node, const char *name, uint64_t timeout_ns, uint64_t settle_ns,
                 bool (*cancelled)(void *), void *context, const char **ret_how,
                 struct error **err);

/*
 * Does a Linux guest listen on this TCP port, other than on its loopback?  Told by its agent, out of
 * /proc/net/tcp: it works however the VM is (not) connected.  1: yes; 0: no; -EAGAIN without a
 * sentence: the agent does not answer (yet), or does not let files be read.
 */
int node_guest_listens(struct node *node, const char *name, unsigned port, struct error **err);
