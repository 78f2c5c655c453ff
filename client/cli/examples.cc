// What stands under "Examples" in --help and in the manual pages.
#include <map>
#include <string>
#include <vector>

#include "client/cli/manual.h"

namespace retort {

std::vector<std::string> ExamplesOf(const std::string& path) {
  using Lines = std::vector<std::string>;
  static const auto& examples = *new std::map<std::string, Lines>{
      {"retort local",
       {"retort local demo.yaml --workers 2",
        "retort local demo.yaml --folder /data/retort --slots 4 -o csv > jobs.csv"}},
      {"retort sweep submit",
       {"retort sweep submit demo.yaml --dry-run    # what would run, what is known, how long",
        "retort sweep submit demo.yaml --wait", "generate-sweep | retort sweep submit -"}},
      {"retort sweep watch",
       {"retort sweep watch demo", "retort sweep watch demo -o jsonl | jq .running"}},
      {"retort sweep wait",
       {"retort sweep wait demo --timeout 1h && retort results demo",
        "retort sweep wait demo --for succeeded    # ends at the first job that fails"}},
      {"retort sweep list", {"retort sweep list", "retort sweep list -o name"}},
      {"retort sweep show", {"retort sweep show demo -o json | jq .eta_s"}},
      {"retort sweep schema", {"retort sweep schema > sweep.schema.json"}},
      {"retort sweep pause", {"retort sweep pause demo"}},
      {"retort sweep resume", {"retort sweep resume demo"}},
      {"retort sweep cancel", {"retort sweep cancel demo"}},
      {"retort sweep export", {"retort sweep export demo demo-export"}},
      {"retort job list",
       {"retort job list --sweep demo --state failed", "retort job list --sweep demo -o csv"}},
      {"retort job show", {"retort job show 3f2a9c", "retort job show 3f2a9c -o json | jq .spec"}},
      {"retort job logs",
       {"retort job logs 3f2a9c", "retort job logs -f 3f2a9c",
        "retort job logs 3f2a9c --attempt 1"}},
      {"retort job compare", {"retort job compare 3f2a9c 81d0e4"}},
      {"retort job retry",
       {"retort job retry 3f2a9c", "retort job retry --sweep demo --state failed --cause CRASHED"}},
      {"retort job explain", {"retort job explain 3f2a9c"}},
      {"retort job cancel", {"retort job cancel 3f2a9c 81d0e4"}},
      {"retort worker list", {"retort worker list", "retort worker list --watch"}},
      {"retort worker show", {"retort worker show lab-1"}},
      {"retort worker drain", {"retort worker drain lab-1"}},
      {"retort worker release", {"retort worker release lab-1"}},
      {"retort worker launch slurm",
       {"retort worker launch slurm -n 8 --gpus 1 --partition gpu",
        "retort worker launch slurm --autoscale 0:16 --worker-access worker.access -- --qos=low"}},
      {"retort worker launch ssh",
       {"retort worker launch ssh --hosts hosts.txt --worker-access worker.access",
        "retort worker launch ssh --hosts hosts.txt --stop"}},
      {"retort results",
       {"retort results demo", "retort results demo --method 'dkd*' --sort mae_bpm",
        "retort results demo --group method,seed -o csv"}},
      {"retort fit",
       {"retort fit demo", "retort fit demo --predict 1e6 --smallest 'mae_bpm<=5'",
        "retort fit demo --claims", "retort fit --csv runs.csv --loss loss --size params"}},
      {"retort report", {"retort report demo", "retort report demo -o demo.md"}},
      {"retort query",
       {"retort query \"SELECT method, avg(mae_bpm) FROM results GROUP BY method\"",
        "retort query \"SELECT * FROM jobs WHERE state = 'failed'\" -o csv"}},
      {"retort data prepare",
       {"retort data prepare ieee-spc-2015 --from FOLDER --out ieee.safetensors",
        "retort data prepare csv --from run.csv --time t --ppg green --bpm bpm.csv --out "
        "run.safetensors"}},
      {"retort data synth", {"retort data synth --out demo.safetensors --subjects 8 --minutes 5"}},
      {"retort data join", {"retort data join a.safetensors b.safetensors --out both.safetensors"}},
      {"retort data show", {"retort data show demo.safetensors"}},
      {"retort data list", {"retort data list", "retort data list /data/ppg -o json"}},
      {"retort model fetch", {"retort model fetch 3f2a9c --out weights.safetensors"}},
      {"retort model predict",
       {"retort model predict --weights weights.safetensors --input demo.safetensors",
        "retort model predict --weights weights.safetensors --input run.csv --rate 64 -o csv"}},
      {"retort admin check",
       {"retort admin check", "retort admin check --folder /backups/retort --quick"}},
      {"retort admin backup", {"retort admin backup /backups/retort-$(date +%F)"}},
      {"retort admin restore", {"retort admin restore /backups/retort-2026-11-23 /srv/retort"}},
      {"retort admin gc", {"retort admin gc --dry-run", "retort admin gc"}},
      {"retort admin doctor",
       {"retort admin doctor", "retort admin doctor --worker -- --slots 8 --device cuda:0"}},
      {"retort admin token create",
       {"retort admin token create --role viewer --label dashboard --out viewer.access"}},
      {"retort admin token list", {"retort admin token list"}},
      {"retort admin token revoke", {"retort admin token revoke 3f2a9c"}},
      {"retort completion",
       {"retort completion bash > ~/.local/share/bash-completion/completions/retort",
        "retort completion zsh > ~/.zfunc/_retort    # ~/.zfunc in fpath, before compinit",
        "retort completion fish > ~/.config/fish/completions/retort.fish"}},
      {"retort man",
       {"retort man sweep | man -l -", "retort man --folder ~/.local/share/man/man1"}},
  };
  const auto found = examples.find(path);
  return found == examples.end() ? Lines() : found->second;
}

}  // namespace retort
