#include "tests/launch/slurm.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/files.h"

namespace retort::e2e {
namespace {

constexpr char kMunged[] = "/usr/sbin/munged";
constexpr char kController[] = "/usr/sbin/slurmctld";
constexpr char kNode[] = "/usr/sbin/slurmd";

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return std::string(name).substr(0, std::string(name).find('.'));
}

// Outside the range that the kernel gives to clients.
int FreePort() {
  std::random_device random;
  while (true) {
    const int port = 15000 + static_cast<int>(random() % 15000);
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return port;
  }
}

// No accounting, no cgroups, nothing of systemd; the node claims more CPUs than the machine has.
constexpr char kConfig[] = R"(ClusterName=retort
SlurmctldHost=HOST(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=FOLDER/munge.sock
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort=PORT1
SlurmdPort=PORT2
StateSaveLocation=FOLDER/state
SlurmdSpoolDir=FOLDER/spool
SlurmctldPidFile=FOLDER/slurmctld.pid
SlurmdPidFile=FOLDER/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=20
NodeName=HOST NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes=HOST Default=YES MaxTime=INFINITE State=UP
)";

}  // namespace

std::string Slurm::Missing() {
  if (geteuid() != 0) return "only root can start Slurm's daemons";
  for (const char* program : {kMunged, kController, kNode, "/usr/bin/sbatch"}) {
    if (access(program, X_OK) != 0) return absl::StrCat(program, " is not installed");
  }
  return "";
}

void Slurm::WriteConfig() {
  const std::string config = absl::StrReplaceAll(kConfig, {{"HOST", HostName()},
                                                           {"FOLDER", folder_},
                                                           {"PORT1", absl::StrCat(FreePort())},
                                                           {"PORT2", absl::StrCat(FreePort())}});
  EXPECT_TRUE(WriteFileAtomically(folder_ + "/slurm.conf", config).ok());
  std::string key;
  std::random_device random;
  for (int i = 0; i < 1024; ++i) key += static_cast<char>(random());
  EXPECT_TRUE(WriteFileAtomically(folder_ + "/munge.key", key, 0600).ok());
}

Slurm::Slurm(const std::string& folder) : folder_(folder) {
  for (const char* below : {"/state", "/spool"}) EXPECT_TRUE(MakeFolders(folder_ + below).ok());
  chmod(folder_.c_str(), 0755);
  WriteConfig();
  const std::string config = folder_ + "/slurm.conf", socket = folder_ + "/munge.sock";
  setenv("SLURM_CONF", config.c_str(), 1);
  munged_ = std::make_unique<Process>(
      std::vector<std::string>{
          kMunged, "--foreground", "--force", "--num-threads=2", "--socket=" + socket,
          "--key-file=" + folder_ + "/munge.key", "--pid-file=" + folder_ + "/munged.pid",
          "--log-file=" + folder_ + "/munged.log", "--seed-file=" + folder_ + "/munge.seed"},
      folder_, "munged");
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return access(socket.c_str(), F_OK) == 0; }));
  controller_ = std::make_unique<Process>(
      std::vector<std::string>{kController, "-D", "-c", "-f", config}, folder_, "slurmctld");
  node_ = std::make_unique<Process>(
      std::vector<std::string>{kNode, "-D", "-f", config, "-N", HostName()}, folder_, "slurmd");
  const bool idle = Eventually(absl::Seconds(20), [&] {
    const Outcome said = RunCommand({"/usr/bin/sinfo", "--noheader", "--format=%T"}, folder_);
    return said.exit_code == 0 && absl::StripAsciiWhitespace(said.out) == "idle";
  });
  EXPECT_TRUE(idle) << ReadFile(folder_ + "/slurmctld.err").value_or("")
                    << ReadFile(folder_ + "/slurmd.err").value_or("");
}

Slurm::~Slurm() {
  for (const std::string& signal : {std::string("--signal=KILL"), std::string("--quiet")}) {
    RunCommand({"/usr/bin/scancel", "--me", signal}, folder_);
  }
  RunCommand({"/usr/bin/scancel", "--me", "--full", "--signal=KILL"}, folder_);
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return Alive().empty(); })) << "jobs do not end";
}

std::string Slurm::Run(std::vector<std::string> command) {
  command[0] = "/usr/bin/" + command[0];
  const Outcome outcome = RunCommand(command, folder_);
  EXPECT_EQ(outcome.exit_code, 0) << command[0] << ": " << outcome.err;
  return outcome.out;
}

std::vector<std::string> Slurm::Alive() {
  const std::string out = Run({"squeue", "--noheader", "--array", "--format=%T"});
  std::vector<std::string> states;
  for (const auto line : absl::StrSplit(out, '\n', absl::SkipEmpty())) states.emplace_back(line);
  return states;
}

}  // namespace retort::e2e
