/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the encrypted volumes of a guest that keys were given for, volumes inside others too. */
#pragma once

#include "morph/guest.h"
#include "morph/request.h"

/* Adds what is inside to the list.  An encrypted volume that no key was given for stays closed; a
 * key given for a certain volume must open it: otherwise a sentence. */
int unlock_volumes(struct guest *guest, const struct request *request, struct volume_list *volumes,
                   struct error **err);
