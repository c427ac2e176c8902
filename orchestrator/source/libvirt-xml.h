/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's XML as read by the provider.  Pure functions: no connection, no files. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include "base/error.h"

/*
 * A <domain> as a VM description (see source_ops.describe), a new reference.  What XML does not
 * say is left out: state and the disks' size_bytes.  CD-ROMs, floppies and empty drives are not
 * disks. EPROTO when the text is not a domain.
 */
int xml_describe(const char *xml, json_t **ret_description, struct error **err);

/* The network cards of a <domain> by MAC, and whether their link is up: {mac: bool}. */
int xml_nic_links(const char *xml, json_t **ret_links, struct error **err);

/* Each <interface> of a <domain> whose link is not as wanted, as text with the link that is wanted:
 * down, or what `links` says.  Cards that links does not know are left out. */
int xml_nics_linked(const char *xml, const json_t *links, bool down, json_t **ret_nics,
                    struct error **err);

/*
 * The disks of a <domaincheckpoint> that has them tracked: {disk name: dirty bytes}, or null in
 * place of the bytes when libvirt could not say (the bitmap is missing or inconsistent).
 */
int xml_checkpoint_disks(const char *xml, json_t **ret_disks, struct error **err);

/* The same <domaincheckpoint>, tracking only the disks that are keys of `disks`.  Caller frees. */
int xml_checkpoint_keep(const char *xml, const json_t *disks, char **ret_xml, struct error **err);

/* The first scratch file of a <domainbackup>, or NULL when it has none.  Caller frees. */
char *xml_backup_scratch(const char *xml);

/* The numeric owner "UID:GID" of QEMU processes in <capabilities>, or NULL.  Caller frees. */
char *xml_qemu_owner(const char *xml);

/* True when <capabilities> say that AppArmor or SELinux confine QEMU. */
bool xml_qemu_confined(const char *xml);
