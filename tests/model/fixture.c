/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/fixture.h"

#include <stdio.h>

#include "base/str.h"
#include "engine/store.h"

static const char *const names[MEM_DISKS] = {"sda", "sdb"};

static int make_store(struct fixture *f, struct error **err)
{
    struct store_vm vm = {.name = str_dup("vm"), .disk_count = MEM_DISKS};
    int r;

    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(vm.disks[d].name, sizeof(vm.disks[d].name), "%s", names[d]);
        vm.disks[d].target = str_format("/target/%s", names[d]);
        vm.disks[d].size = mem_sizes[d];
    }
    r = store_create(sim_io(f->sim), FIXTURE_STORE, &vm, err);
    store_vm_done(&vm);
    return r;
}

static int open_engine(struct fixture *f, struct error **err)
{
    struct engine_options options = {.store = FIXTURE_STORE, .fence_ns = 1,
                                     .live_folder = "/run/vm"};

    return engine_open_with(&options, sim_io(f->sim), &memsource_readers, &f->engine, err);
}

struct fixture *fixture_new(void)
{
    struct fixture *f = mem_new(1, sizeof(*f));
    struct io *io;

    f->sim = sim_new();
    sim_set_store_tear(f->sim, 16);
    io = sim_io(f->sim);
    f->source = memsource_new(1);
    memsource_write(f->source, 1);
    memsource_write(f->source, 2);
    io->ops->mkdir(io, "/store");
    io->ops->mkdir(io, "/target");
    sim_settle(f->sim);
    if (make_store(f, NULL) < 0 || open_engine(f, NULL) < 0)
        abort();
    return f;
}

void fixture_free(struct fixture *f)
{
    engine_close(f->engine);
    memsource_free(f->source);
    sim_free(f->sim);
    free(f);
}

int fixture_restart(struct fixture *f, struct error **err)
{
    if (f->engine) {
        sim_die(f->sim);
        engine_close(steal_ptr(f->engine));
    }
    sim_kill(f->sim);
    return open_engine(f, err);
}

static int copy_and_commit(struct sync *s, struct error **err)
{
    int r = sync_prepare(s, err);

    for (unsigned d = 0; r == 0 && d < s->disk_count; d++) {
        struct puller *q = NULL;
        int step = puller_new(&s->disks[d].pull, s->disks[d].reader, &q);

        while (step >= 0 && (step = puller_step(q)) > PULL_DONE)
            if (step == PULL_WAIT)
                puller_wait(q);
        puller_free(q);
        if (step < 0)
            r = error_set(err, -step, "%s", s->disks[d].pull.error_text);
    }
    return r < 0 ? r : sync_commit(s, err);
}

int fixture_sync(struct fixture *f, int since, struct error **err)
{
    struct sync *s = mem_new(1, sizeof(*s));
    int point = (int)memsource_point(f->source), r;
    char uris[MEM_DISKS][32], bitmap[32], snapshot[32];
    struct sync_source sources[MEM_DISKS];
    struct sync_request q = {
        .sources = sources, .source_count = MEM_DISKS, .snapshot = snapshot,
        .compare = since < 0};

    snprintf(snapshot, sizeof(snapshot), "p%d", point);
    snprintf(bitmap, sizeof(bitmap), "since:%d", since);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(uris[d], sizeof(uris[d]), "mem:%d/%u", point, d);
        sources[d] = (struct sync_source){names[d], uris[d], since < 0 ? NULL : bitmap};
    }
    r = sync_open(s, f->engine, &q, err);
    if (r == 0)
        r = copy_and_commit(s, err);
    sync_close(s);
    free(s);
    return r < 0 ? r : point;
}

void fixture_fold(struct fixture *f)
{
    atomic_bool never = false;

    if (fold_all(f->engine, &never, NULL, NULL) < 0)
        abort();
}

const uint8_t *fixture_bytes(struct fixture *f, int point, unsigned disk)
{
    return f->source->points[point][disk];
}
