/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/link.h"

#include "base/str.h"

char *link_file_name(const struct pin *pin)
{
    return str_format(LINK_PREFIX "%s.link", pin->name);
}

/* Type=ether: VLANs, bridges and bonds may carry the same MAC as the card below them. */
char *link_text(const struct pin *pin)
{
    return str_format("# Keeps the name this card had before the move to KVM.\n"
                      "[Match]\n"
                      "MACAddress=%s\n"
                      "Type=ether\n"
                      "\n"
                      "[Link]\n"
                      "Name=%s\n"
                      "%s",
                      pin->mac, pin->name, pin->settings ? pin->settings : "");
}
