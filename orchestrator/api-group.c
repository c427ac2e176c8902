/* SPDX-License-Identifier: Apache-2.0 */
/* Consistent groups in the API. */
#include "orchestrator/api-handlers.h"
#include "orchestrator/group.h"

int get_groups(struct daemon *d, const struct api_request *request, const json_t *body,
               const char *name, struct api_answer *answer, struct error **err)
{
    answer->body = json_pack("{s:o}", "groups", groups_json(d));
    return 0;
}

int post_group_cutover(struct daemon *d, const struct api_request *request, const json_t *body,
                       const char *name, struct api_answer *answer, struct error **err)
{
    return group_run(d, name, VERB_CUTOVER, body, &answer->body, err);
}

int post_group_sync(struct daemon *d, const struct api_request *request, const json_t *body,
                    const char *name, struct api_answer *answer, struct error **err)
{
    return group_run(d, name, VERB_SYNC, NULL, &answer->body, err);
}

int post_group_commit(struct daemon *d, const struct api_request *request, const json_t *body,
                      const char *name, struct api_answer *answer, struct error **err)
{
    return group_run(d, name, VERB_COMMIT, NULL, &answer->body, err);
}

int post_group_rollback(struct daemon *d, const struct api_request *request, const json_t *body,
                        const char *name, struct api_answer *answer, struct error **err)
{
    return group_run(d, name, VERB_ROLLBACK, body, &answer->body, err);
}
