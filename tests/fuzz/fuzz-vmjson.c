/* SPDX-License-Identifier: Apache-2.0 */
/* vm.json, which an operator may have touched. */
#include "engine/store.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error *err = NULL;
    struct store_vm vm = {0};

    if (store_vm_parse((const char *)data, size, "vm.json", &vm, &err) == 0) {
        FUZZ_ASSERT(vm.name && vm.disk_count >= 1 && vm.disk_count <= DISKS_MAX);
        for (unsigned i = 0; i < vm.disk_count; i++) {
            FUZZ_ASSERT(vm.disks[i].target[0] == '/');
            FUZZ_ASSERT(vm.disks[i].size > 0 && vm.disks[i].size % SECTOR == 0);
            FUZZ_ASSERT(store_check_disk_name(vm.disks[i].name, NULL) == 0);
        }
        store_vm_done(&vm);
    } else {
        FUZZ_ASSERT(err);
    }
    error_free(err);
    return 0;
}
