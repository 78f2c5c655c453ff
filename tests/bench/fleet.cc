#include "tests/bench/fleet.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/byte_buffer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"

namespace retort::bench {
namespace {

constexpr char kSync[] = "/retort.v1.WorkerService/Sync";
constexpr auto kCallLimit = std::chrono::minutes(10);

}  // namespace

struct Fleet::Call {
  int worker = 0;
  size_t place = 0;
  absl::Time sent;
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
};

Fleet::Fleet(const FleetOptions& options) {
  for (int i = 0; i < options.connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);            // as an agent's (worker.cc)
    stubs_.push_back(std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments)));
  }
  for (int i = 0; i < options.workers; ++i) {
    writers_.emplace_back(absl::StrCat(options.prefix, i), options.slots, options.weights_sha256);
  }
  numbers_.resize(writers_.size());
}

Fleet::~Fleet() {
  for (Call* call : open_) call->context.TryCancel();
  queue_.Shutdown();
  void* tag = nullptr;
  for (bool ok = false; queue_.Next(&tag, &ok);) delete static_cast<Call*>(tag);
}

void Fleet::Send(int worker, int wanted, const std::vector<AttemptBytes>& finished,
                 const std::vector<AttemptBytes>& live) {
  auto* call = new Call();
  call->worker = worker;
  call->place = open_.size();
  open_.push_back(call);
  call->sent = absl::Now();
  call->context.set_deadline(std::chrono::system_clock::now() + kCallLimit);
  const auto index = static_cast<size_t>(worker);
  const grpc::Slice slice(writers_[index].Write(++numbers_[index], wanted, finished, live));
  const grpc::ByteBuffer request(&slice, 1);
  call->reader =
      stubs_[index % stubs_.size()]->PrepareUnaryCall(&call->context, kSync, request, &queue_);
  call->reader->StartCall();
  call->reader->Finish(&call->response, &call->status, call);
  ++calls_;
  ++in_flight_;
}

absl::StatusOr<bool> Fleet::Next(absl::Time deadline, Event& event) {
  void* tag = nullptr;
  bool ok = false;
  const auto status = queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(deadline));
  if (status != grpc::CompletionQueue::GOT_EVENT) return false;
  const std::unique_ptr<Call> call(static_cast<Call*>(tag));
  open_[call->place] = open_.back();
  open_[call->place]->place = call->place;
  open_.pop_back();
  --in_flight_;
  if (!call->status.ok()) {
    return absl::UnavailableError(absl::StrCat("a Sync failed: ", call->status.error_code(), " ",
                                               call->status.error_message()));
  }
  event.worker = call->worker;
  event.sent = call->sent;
  event.answer = {};
  grpc::Slice slice;
  if (!call->response.TrySingleSlice(&slice).ok() &&
      !call->response.DumpToSingleSlice(&slice).ok()) {
    return absl::DataLossError("an answer to a Sync cannot be read");
  }
  const std::string_view bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
  if (!ReadSyncAnswer(bytes, event.answer)) {
    return absl::DataLossError("an answer to a Sync cannot be read");
  }
  return true;
}

absl::Status RunJobs(Fleet& fleet, int slots, int64_t jobs, absl::Duration limit,
                     const std::function<void(int64_t)>& acknowledged) {
  for (int i = 0; i < fleet.workers(); ++i) fleet.Send(i, slots);
  int64_t done = 0;
  absl::Time progress = absl::Now();
  while (done < jobs) {
    Fleet::Event event;
    RETORT_ASSIGN_OR_RETURN(const bool came, fleet.Next(progress + limit, event));
    if (!came) {
      return absl::DeadlineExceededError(
          absl::StrCat("only ", done, " of ", jobs, " results were acknowledged"));
    }
    done += event.answer.acknowledged;
    acknowledged(done);
    if (event.answer.acknowledged > 0 || !event.answer.leases.empty()) progress = absl::Now();
    fleet.Send(event.worker, slots, event.answer.leases);
  }
  return absl::OkStatus();
}

}  // namespace retort::bench
