# ---- The blueprint's strategy is squash: one commit for each agent

_orchestra_put_on_top() { _orchestra_squash; }
