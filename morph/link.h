/* SPDX-License-Identifier: Apache-2.0 */
/* The systemd .link file that keeps a network card's name by its MAC address.  Pure. */
#pragma once

#include "morph/facts.h"

#define LINK_PREFIX "10-slipway-"

/* "10-slipway-ens192.link"; the caller frees. */
char *link_file_name(const struct pin *pin);

/* The lines of [Link] that a .link file of the guest has beside the name, when it is for this card;
 * NULL when it is not, or has none.  The caller frees. */
char *link_settings(const char *text, const struct pin *pin);

/* Its text; the caller frees. */
char *link_text(const struct pin *pin);
