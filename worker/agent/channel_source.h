// Where calls to the coordinator go.
#ifndef RETORT_WORKER_AGENT_CHANNEL_SOURCE_H_
#define RETORT_WORKER_AGENT_CHANNEL_SOURCE_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>

namespace retort {

// Gives the channel for a call; another one after the coordinator has moved. Called by any thread.
using ChannelSource = std::function<std::shared_ptr<grpc::ChannelInterface>()>;

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_CHANNEL_SOURCE_H_
