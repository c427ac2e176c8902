/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What slipwayd-fake has in the place of libvirt and nbdkit.  Files under the folder of a test://
 * URI are the platform; a file fail-OPERATION in it makes that operation fail with its text.
 */
#pragma once

#include "base/error.h"

/* Marks a point before or after something that lasts; a crash test may die here. */
void fake_point(const char *operation, const char *when);

/* Fails with the text of FOLDER/fail-OPERATION when it exists: EIO, or the number it begins with.
 * SLIPWAY_OPERATIONS=FILE writes down all that might fail, SLIPWAY_FAIL_AT=N lets the Nth of these
 * fail. */
int fake_failure(const char *folder, const char *operation, struct error **err);

/* The folder of test://FOLDER, or NULL. */
const char *fake_folder(const char *uri);
