/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Starts this nbdkit again, with the same arguments and as the same process, with hangup.c preloaded
 * from the plugin's own folder.  Returns when it is there already, and when it cannot be: not found,
 * or the sockets were handed over by a service manager, whose environment is gone by now.
 */
void preload_hangup(void);
