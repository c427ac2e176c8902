/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which role the owner of a certificate has.  A text of lines
 *
 *     NAME read|write
 *
 * where NAME is the common name or an alternative name of the certificate; empty lines, and what
 * stands behind a '#', do not count.  Of several lines that fit a certificate the first counts.
 */
#pragma once

#include <stddef.h>
#include "base/error.h"
#include "orchestrator/access.h"

struct tlsroles;

/* path names the text in errors: EINVAL with the line and what is allowed. */
int tlsroles_parse(const char *text, const char *path, struct tlsroles **ret_roles,
                   struct error **err);

/* Reads a file. */
int tlsroles_load(const char *path, struct tlsroles **ret_roles, struct error **err);
struct tlsroles *tlsroles_free(struct tlsroles *roles);

/* The place of the line that names this, for comparing, or -1; *ret_role is its role. */
int tlsroles_find(const struct tlsroles *roles, const char *name, enum access_role *ret_role);
