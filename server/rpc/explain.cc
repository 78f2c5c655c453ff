// Why a job is in its state, for clients.
#include "server/core/explain.h"

#include "common/clock.h"
#include "common/names.h"
#include "common/status.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/sweep_service.h"
#include "server/rpc/unary.h"

namespace retort {
namespace {

constexpr size_t kLongestMessage = 1024;

void FromExplanation(const core::Explanation& explanation, v1::Explanation* message) {
  message->set_job(JobName(explanation.job));
  message->set_state(static_cast<v1::JobState>(explanation.state));
  message->set_attempt(explanation.attempt);
  for (const core::Reason& reason : explanation.reasons) {
    v1::Reason* added = message->add_reasons();
    added->set_code(static_cast<v1::ReasonCode>(reason.code));
    added->set_message(reason.message.substr(0, kLongestMessage));
    for (const std::string& name : reason.related) added->add_related(name);
  }
  for (const core::SpentBudget& budget : explanation.budgets) {
    v1::FailureBudget* added = message->add_budgets();
    added->set_cause(static_cast<v1::FailureCause>(budget.cause));
    added->set_spent(budget.spent);
    added->set_limit(budget.limit);
  }
}

absl::StatusOr<JobId> FindJobId(const store::Reader& reader, const std::string& name) {
  RETORT_ASSIGN_OR_RETURN(const std::string prefix, ParseJobPrefix(name));
  RETORT_ASSIGN_OR_RETURN(const v1::Job job, reader.Job(prefix));
  return ParseJobName(job.name());
}

}  // namespace

// The reader turns a prefix into an id; only the strand knows the rest. Looking takes the strand's
// time, so that it counts as a change where these are bounded.
grpc::ServerUnaryReactor* SweepService::ExplainJob(Context* context,
                                                   const v1::ExplainJobRequest* request,
                                                   v1::Explanation* response) {
  Unary* reactor = context->DefaultReactor();
  const auto change = Admit(context, *request, parts_.limits.read_request_bytes, reactor);
  if (!change) return reactor;
  parts_.reads.Continue(change->caller, [this, context, request, response, change = *change] {
    if (IsOver(*context)) return change.reactor->Finish(grpc::Status::CANCELLED);
    const auto id = FindJobId(parts_.reader, request->name());
    if (!id.ok()) return change.reactor->Finish(ToGrpc(id.status()));
    auto explanation = std::make_shared<core::Explanation>();
    parts_.coordinator.Inspect(
        [id = *id, explanation](const core::State& state) {
          // Found a moment ago, and jobs are never deleted.
          const core::JobKey job = state.FindJob(id);
          if (job) *explanation = core::Explain(state, job, SystemClock().Read());
        },
        [change, response, explanation](absl::StatusOr<Answer> answer) {
          if (answer.ok()) FromExplanation(*explanation, response);
          change.reactor->Finish(ToGrpc(answer.status()));
        });
  });
  return reactor;
}

}  // namespace retort
