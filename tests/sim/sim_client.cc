#include "tests/sim/sim_client.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/names.h"
#include "server/rpc/convert.h"
#include "tests/sim/training.h"

namespace retort::sim {
namespace {

// What a client prints of an answer: the same for every repetition of a request.
std::string TextOf(const Answer& answer) {
  if (const auto* sweep = std::get_if<core::SweepReply>(&answer)) {
    return absl::StrCat("sweep ", sweep->name, " of ", sweep->jobs);
  }
  if (const auto* jobs = std::get_if<core::JobsReply>(&answer)) {
    return absl::StrCat("changed ", jobs->changed);
  }
  if (const auto* worker = std::get_if<core::WorkerReply>(&answer)) return worker->name;
  return "done";
}

template <typename Change>
absl::StatusOr<core::Input> ToInput(absl::StatusOr<Change> change) {
  if (!change.ok()) return change.status();
  return core::Input(*std::move(change));
}

}  // namespace

SimClient::SimClient(World& world, const Settings& settings, SimCoordinator& coordinator,
                     Oracle& oracle, int index)
    : world_(world),
      settings_(settings),
      coordinator_(coordinator),
      oracle_(oracle),
      node_(world, absl::StrCat("client", index)),
      link_(world, node_, coordinator.node(), settings.network),
      left_(settings.requests) {
  coordinator.AddLink(link_);
}

void SimClient::Start() {
  node_.Boot();
  Ask(NewSweep());
  Wish();
}

void SimClient::Heal() {
  faulty_ = false;
  link_.Heal();
}

void SimClient::Wish() {
  if (left_-- <= 0 || !faulty_) return;
  const absl::Duration mean = settings_.faulty / settings_.requests;
  node_.After(world_.random().Time(absl::ZeroDuration(), mean), [this] {
    switch (world_.random().Below(10)) {
      case 0:
      case 1:
      case 2:
        Ask(NewSweep());
        break;
      case 3:
      case 4:
      case 5:
        Ask(ChangeSweep());
        break;
      case 6:
      case 7:
      case 8:
        Ask(ChangeJobs());
        break;
      default: {
        const int64_t worker = world_.random().Below(settings_.workers);
        Ask(ChangeWorker(absl::StrCat("w", worker), world_.random().Chance(0.4)));
      }
    }
    Wish();
  });
}

// ------------------------------------------------------------------------------ requests

std::string SimClient::NewRequestId() {
  const uint64_t high = world_.random().Next();
  const uint64_t low = world_.random().Next();
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32),
                static_cast<unsigned>(high >> 16 & 0xffff), static_cast<unsigned>(high & 0xffff),
                static_cast<unsigned>(low >> 48),
                static_cast<unsigned long long>(low & 0xffffffffffffu));
  return text;
}

std::string SimClient::AnySweep() {
  std::vector<std::string> names;
  for (const auto& [key, sweep] : oracle_.sweeps()) names.push_back(sweep.name);
  return names.empty() ? "none" : world_.random().OneOf(names);
}

// Sweeps are cut from one grid, so that they overlap, and enlarge each other.
v1::SweepSpec SimClient::DrawSweep() {
  Random& random = world_.random();
  v1::SweepSpec spec;
  spec.set_name(absl::StrCat("s", random.Below(4)));
  spec.set_priority(static_cast<int32_t>(random.Below(3)));
  v1::NamedDataset* dataset = spec.add_datasets();
  dataset->set_name("lab");
  dataset->mutable_info()->set_sha256(kDatasetHash);
  dataset->mutable_info()->set_size_bytes(9);
  dataset->mutable_info()->set_windows(100);
  dataset->mutable_info()->set_channels(1);
  dataset->mutable_info()->set_samples(64);
  for (const char* subject : {"a", "b", "c", "d"}) dataset->mutable_info()->add_subjects(subject);
  if (random.Chance(0.3)) {
    spec.mutable_split()->set_kfold(2);
  } else {
    spec.mutable_split()->set_holdout(0.5);
  }
  const bool taught = random.Chance(0.8);
  const int64_t teachers = taught ? random.Between(1, settings_.teachers) : 0;
  for (int64_t i = 0; i < teachers; ++i) {
    v1::ResNet1dSpec* model = spec.add_teachers()->mutable_model()->mutable_resnet1d();
    model->set_base(32 << i);
    model->set_blocks(8);
  }
  const int64_t students = random.Between(1, settings_.students);
  for (int64_t i = 0; i < students; ++i) {
    v1::MlpSpec* model = spec.add_students()->mutable_mlp();
    model->set_width(static_cast<int32_t>(4 + 4 * i));
    model->set_depth(1);
  }
  if (!taught || random.Chance(0.5)) spec.add_methods()->mutable_method()->mutable_scratch();
  if (taught) {
    spec.add_methods()->mutable_method()->mutable_soft();
    if (random.Chance(0.3)) spec.add_methods()->mutable_method()->mutable_hard();
  }
  const int64_t seeds = random.Between(std::max(1, settings_.seeds / 2), settings_.seeds);
  const int64_t first = random.Below(2);
  for (int64_t i = 0; i < seeds; ++i) spec.add_seeds(first + i);
  spec.mutable_train()->set_epochs(
      static_cast<int32_t>(1 + random.Below(2) * (settings_.most_epochs - 1)));
  if (random.Chance(0.05)) {
    spec.mutable_budget()->set_device_hours(0.01);
    spec.mutable_budget()->set_then(random.Chance(0.5) ? v1::BUDGET_ACTION_CANCEL
                                                       : v1::BUDGET_ACTION_PAUSE);
  }
  return spec;
}

SimClient::Request SimClient::NewSweep() {
  const std::string id = NewRequestId();
  return {id, [this, id, spec = DrawSweep()](Respond<Answer> respond) {
            coordinator_.CreateSweep(id, spec, std::move(respond));
          }};
}

SimClient::Request SimClient::ChangeSweep() {
  v1::ChangeSweepRequest request;
  request.set_name(SweepName(AnySweep()));
  request.set_request_id(NewRequestId());
  // Most pauses end.
  const int64_t draw = world_.random().Below(10);
  const auto what = draw < 3   ? core::ChangeSweep::What::kPause
                    : draw < 8 ? core::ChangeSweep::What::kResume
                               : core::ChangeSweep::What::kCancel;
  return {request.request_id(), [this, request, what](Respond<Answer> respond) {
            coordinator_.Change(request.request_id(), ToInput(ToChangeSweep(request, what)),
                                std::move(respond));
          }};
}

SimClient::Request SimClient::ChangeJobs() {
  v1::ChangeJobsRequest request;
  request.set_request_id(NewRequestId());
  Random& random = world_.random();
  const auto what =
      random.Chance(0.6) ? core::ChangeJobs::What::kRetry : core::ChangeJobs::What::kCancel;
  if (oracle_.jobs().empty() || random.Chance(0.3)) {
    request.set_sweep(SweepName(AnySweep()));
    if (what == core::ChangeJobs::What::kRetry) request.add_states(v1::JOB_STATE_FAILED);
  } else {
    const int64_t count = random.Between(1, 3);
    for (int64_t i = 0; i < count; ++i) {
      const core::JobKey key{random.Between(1, static_cast<int64_t>(oracle_.jobs().size()))};
      request.add_names(JobName(oracle_.jobs().at(key).id));
    }
  }
  return {request.request_id(), [this, request, what](Respond<Answer> respond) {
            coordinator_.Change(request.request_id(), ToInput(ToChangeJobs(request, what)),
                                std::move(respond));
          }};
}

SimClient::Request SimClient::ChangeWorker(const std::string& worker, bool drain) {
  v1::ChangeWorkerRequest request;
  request.set_name(WorkerName(worker));
  request.set_request_id(NewRequestId());
  const auto what = drain ? core::ChangeWorker::What::kDrain : core::ChangeWorker::What::kRelease;
  return {request.request_id(), [this, request, what](Respond<Answer> respond) {
            coordinator_.Change(request.request_id(), ToInput(ToChangeWorker(request, what)),
                                std::move(respond));
          }};
}

void SimClient::Release(const std::string& worker) { Ask(ChangeWorker(worker, false)); }

// ------------------------------------------------------------------------------ asking

void SimClient::Ask(Request request) {
  ++open_;
  world_.Note("asks", node_.name(), request.failures);
  const absl::Duration deadline = world_.random().Time(absl::Seconds(1), absl::Seconds(30));
  auto serve = request.serve;
  Call<Answer>(link_, deadline, std::move(serve),
               [this, request = std::move(request)](absl::StatusOr<Answer> answer) {
                 --open_;
                 Heard(request, answer);
               });
}

void SimClient::Heard(Request request, const absl::StatusOr<Answer>& answer) {
  world_.Note("heard", node_.name(), static_cast<int64_t>(answer.status().code()));
  if (answer.ok()) {
    const auto* jobs = std::get_if<core::JobsReply>(&*answer);
    // The number is known when the last part is done.
    if (jobs == nullptr || !jobs->pending) oracle_.OnClientHeard(request.id, TextOf(*answer));
    if (!settings_.Has(Fault::kRequestRepeated) || !faulty_ || !world_.random().Chance(0.3)) return;
    world_.Count(Fault::kRequestRepeated, node_.name());
    request.failures = 0;
  } else if (!absl::IsUnavailable(answer.status()) && !absl::IsDeadlineExceeded(answer.status()) &&
             !absl::IsResourceExhausted(answer.status())) {
    return;  // it cannot be done
  }
  const absl::Duration delay = BackoffDelay(request.failures++, 0.5);
  ++open_;
  node_.After(delay, [this, request = std::move(request)] {
    --open_;
    Ask(request);
  });
}

}  // namespace retort::sim
