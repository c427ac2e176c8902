/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/metrics */
#include "orchestrator/api-handlers.h"
#include "orchestrator/metrics.h"

int get_metrics(struct daemon *d, const struct api_request *request, const json_t *body,
                const char *name, struct api_answer *answer, struct error **err)
{
    answer->text = metrics_text(d);
    if (!answer->text)
        return error_set_errno(err, ENOMEM, "cannot write the metrics");
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    return 0;
}
