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
