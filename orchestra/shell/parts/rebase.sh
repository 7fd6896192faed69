# ---- The blueprint's strategy is rebase: each commit of the branch

_orchestra_put_on_top() { _orchestra_rebase; }
