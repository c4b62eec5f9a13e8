/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may speak for a role: the ownership protocol of two actives and one standby, one failure of each kind, explored
 * exhaustively. Stands for (docs/SIMULATION.md says more):
 *   control      control-server/core/role_start.cpp, role_failure.cpp (Dead, cancelled), role_takeover.cpp, role_movement.cpp
 *   active       host-agent/core/blade_orders.cpp, blade_answers.cpp: the host stages
 *   standby      the mirror stages of the same files and host-agent/core/movement.cpp
 *   store        control-server/edge/store.cpp: compare-and-set of (term, place, reserved)
 * Left out: time (every timeout may come at any moment), replication (a mirror is whole or it is not), frames.
 *
 *   spin -search [-DPLANTED=k] ownership.pml     k = 1..7: must be found
 */
#ifndef PLANTED
#define PLANTED 0
#endif
#define SKIP_ISOLATION 1   /* the isolation is answered and not done */
#define REUSE_TERM 2       /* a term that was reserved and rolled back is given again */
#define CONT_AFTER_COMMIT 3 /* the guest goes on after the movement's commit */
#define GATE_AT_BOOT 4     /* a blade boots with its gate open */
#define STALE_STOPPED 5    /* "stopped" below the present term counts as evidence */
#define TRUST_FAILURE 7    /* a mirror's "not activated" counts as its silence: it may be about an earlier order */
#define EARLY_STOPPED 6    /* a mirror says that it has stopped before its gate has closed */

#ifndef FAILURES
#define FAILURES 2
#endif
#define N 2
#define TERMS 14

mtype = { Serve, StandDown, Activate, Move, Stopped, Activated, NotActivated, Moved, NotMoved }
mtype:place = { AtActive, AtMirror, AtHost }
mtype:ctl = { Served, Evidence, Activating, GiveBack, OnMirror, Moving, OnHost, NobodyServes }

/* durable: the state store */
byte term[N] = 1;
byte reserved[N];
mtype:place place[N] = AtActive;

/* the world */
bool up[N] = true, frozen[N], port[N] = true;
bool gateA[N] = true, gateM[N], gateH[N];  /* kernels: active's host, mirror's tap, standby's host */
byte termA[N] = 1, termM[N] = 1, termH[N];
bool whole[N] = true;                      /* the mirror's copy */
bool guest[N] = true;
bool moving[N], ready[N];
byte user[28];  /* who served under a term; 0: nobody */

/* control's memory */
mtype:ctl ctl[N] = Served;
bool isolated[N];

/* one failure of each kind, and so many of what a clock may do */
bool may_power = true, may_freeze = true, may_blind = true, may_crash = true, may_break = true, may_switch = true,
     may_fence = true, may_guest = true;
byte timeouts = 1, moves = 2;
byte left = FAILURES;                      /* of the kinds above in one history */
byte broken_switch;                        /* answers that it fails, so many times */

chan toA[N] = [2] of { mtype, byte };
chan toS[N] = [2] of { mtype, byte };
chan fromA[N] = [2] of { mtype, byte };
chan fromS[N] = [2] of { mtype, byte };

#define speaksA(r) (gateA[r] && up[r] && !frozen[r] && port[r])
#define speaksM(r) (gateM[r] && guest[r])
#define speaksH(r) (gateH[r])
#define highest(r) (term[r] > reserved[r] -> term[r] : reserved[r])
#define one_owner(r) (!(speaksA(r) && speaksM(r)) && !(speaksA(r) && speaksH(r)) && !(speaksM(r) && speaksH(r)))

/* A full channel is a session that is gone: what it carried is said again after the next hello. */
#define send(c, what, t) if :: nfull(c) -> c!what, t :: full(c) fi
#define uses(r, t, p) assert(user[r * TERMS + t] == 0 || user[r * TERMS + t] == p); user[r * TERMS + t] = p
inline serve_at_active(r) {  /* role_start.cpp, serve_under_new_term; send_serve readmits and orders */
  term[r] = highest(r) + 1; reserved[r] = 0; place[r] = AtActive;
  port[r] = true; isolated[r] = false; ctl[r] = Served;
  send(toA[r], Serve, term[r])
}
inline activate(r) {  /* role_takeover.cpp, evidence_found */
  if
  :: place[r] == AtActive -> term[r] = highest(r) + 1; reserved[r] = 0; place[r] = AtMirror
  :: else
  fi;
  ctl[r] = Activating;
  send(toS[r], Activate, term[r]);
  send(toA[r], StandDown, term[r])
}
inline power_off(r) {  /* its streams die with it */
  up[r] = false; gateA[r] = false; termA[r] = 0;
  do :: toA[r]?_, _ :: fromA[r]?_, _ :: empty(toA[r]) && empty(fromA[r]) -> break od
}
inline look_again(r) {  /* role_start.cpp: what a (re)started control hears in the hellos */
  isolated[r] = false;
  if
  :: place[r] == AtActive -> ctl[r] = Served;
     if
     :: up[r] && termA[r] == term[r] && !gateA[r] -> send(toA[r], Serve, term[r])
     :: else
     fi
  :: place[r] == AtMirror && termH[r] > term[r] && termH[r] <= reserved[r] ->
     if
     :: gateH[r] -> term[r] = termH[r]; reserved[r] = 0; place[r] = AtHost; ctl[r] = OnHost
     :: else -> ctl[r] = Moving
     fi
  :: place[r] == AtMirror && !(termH[r] > term[r]) && (gateM[r] || moving[r]) && termM[r] == term[r] ->
     ctl[r] = (moving[r] -> Moving : OnMirror)
  :: place[r] == AtMirror && !(termH[r] > term[r]) && !((gateM[r] || moving[r]) && termM[r] == term[r]) ->
     ctl[r] = Evidence
  :: place[r] == AtHost -> ctl[r] = OnHost
  fi
}

proctype control(byte r) {
  mtype what; byte t;
end:
  do
  /* the active is silent: it is dead, or frozen, or both observers are blind (two failures that look like one) */
  :: atomic { ctl[r] == Served && whole[r] && guest[r] && place[r] == AtActive && (!up[r] || frozen[r]) ->
       ctl[r] = Evidence; send(toA[r], StandDown, highest(r) + 1) }
  :: atomic { ctl[r] == Served && whole[r] && guest[r] && place[r] == AtActive && may_blind && left > 0 ->
       may_blind = false; left--; ctl[r] = Evidence; send(toA[r], StandDown, highest(r) + 1) }
  /* it comes back without the role: its own word is the evidence, and its old term is never given again */
  :: atomic { ctl[r] == Served && place[r] == AtActive && up[r] && !frozen[r] && termA[r] == 0 && empty(toA[r]) ->
       if
       :: whole[r] && guest[r] -> activate(r)
       :: else -> serve_at_active(r)
       fi }
  /* stop-evidence: isolation read back, else power-off, else its own word */
  :: atomic { ctl[r] == Evidence && broken_switch == 0 ->
       if
       :: PLANTED != SKIP_ISOLATION -> port[r] = false
       :: else
       fi;
       isolated[r] = true; activate(r) }
  :: atomic { ctl[r] == Evidence && broken_switch > 0 && may_fence -> may_fence = false; power_off(r); activate(r) }
  :: atomic { ctl[r] == Evidence && broken_switch > 0 -> broken_switch-- }
  :: atomic { fromA[r]?what(t) ->
       if
       :: ctl[r] == Evidence && place[r] == AtActive && what == Stopped &&
          (t >= term[r] || PLANTED == STALE_STOPPED) -> activate(r)
       :: else
       fi }
  /* called off: nothing is stored and the switch did not obey */
  :: atomic { ctl[r] == Evidence && place[r] == AtActive && broken_switch > 0 && up[r] && !frozen[r] ->
       serve_at_active(r) }
  :: atomic { fromS[r]?what(t) ->
       if
       :: what == Activated && ctl[r] == Activating && t == term[r] -> ctl[r] = OnMirror
       :: what == NotActivated && ctl[r] == Activating && t == term[r] ->
          if
          :: up[r] && !frozen[r] && PLANTED == TRUST_FAILURE -> serve_at_active(r)
          :: up[r] && !frozen[r] && PLANTED != TRUST_FAILURE -> ctl[r] = GiveBack;
             send(toS[r], StandDown, highest(r) + 1)
          :: else -> ctl[r] = Evidence
          fi
       :: what == Stopped && ctl[r] == GiveBack -> serve_at_active(r)
       :: what == Moved && place[r] == AtMirror && t > term[r] && t <= reserved[r] ->
          term[r] = t; reserved[r] = (reserved[r] > t -> reserved[r] : 0); place[r] = AtHost; ctl[r] = OnHost
       :: what == NotMoved && ctl[r] == Moving && t == reserved[r] ->
          ctl[r] = OnMirror;
          if
          :: PLANTED == REUSE_TERM -> reserved[r] = 0
          :: else
          fi
       :: else
       fi }
  /* the activation's deadline */
  :: atomic { ctl[r] == Activating && timeouts > 0 -> timeouts--;
       if
       :: up[r] && !frozen[r] -> ctl[r] = GiveBack; send(toS[r], StandDown, highest(r) + 1)
       :: else -> ctl[r] = Evidence
       fi }
  :: atomic { ctl[r] == OnMirror && moves > 0 -> moves--; reserved[r] = highest(r) + 1; ctl[r] = Moving;
       assert(user[r * TERMS + reserved[r]] == 0);  /* used up, even if it is rolled back */
       send(toS[r], Move, reserved[r]) }
  od
}

proctype active_agent(byte r) {
  mtype what; byte t;
end:
  do
  :: atomic { up[r] && !frozen[r] && nempty(toA[r]) -> toA[r]?what(t);
       if
       :: what == Serve && t >= termA[r] -> termA[r] = t; uses(r, t, AtActive);
          gateA[r] = true
       :: what == StandDown && t > termA[r] -> termA[r] = t; gateA[r] = false; send(fromA[r], Stopped, t)
       :: else
       fi }
  od
}

proctype standby_agent(byte r) {
  mtype what; byte t; byte before;
end:
  do
  :: atomic { !moving[r] && nempty(toS[r]) -> toS[r]?what(t);
       if
       :: what == Activate && t > termM[r] && whole[r] && guest[r] && !gateM[r] ->
          before = termM[r]; termM[r] = t; ready[r] = true
       :: what == Activate && gateM[r] && t == termM[r] -> send(fromS[r], Activated, t)
       :: what == Activate && !(whole[r] && guest[r]) -> send(fromS[r], NotActivated, t)
       :: what == StandDown && t > termM[r] && place[r] != AtHost && termH[r] == 0 -> termM[r] = t; ready[r] = false;
          if
          :: gateM[r] && PLANTED == EARLY_STOPPED -> send(fromS[r], Stopped, t)
          :: gateM[r] && PLANTED != EARLY_STOPPED -> gateM[r] = false; whole[r] = false; send(fromS[r], Stopped, t)
          :: !gateM[r] -> send(fromS[r], Stopped, t)
          fi
       :: what == Move && gateM[r] && t > termM[r] -> uses(r, t, AtHost); moving[r] = true; gateM[r] = false
       :: else
       fi }
  /* the guest is ready: the gate opens; or the deadline passes first, and the gate is closed for good */
  :: atomic { ready[r] && guest[r] -> ready[r] = false; uses(r, termM[r], AtMirror); gateM[r] = true;
       send(fromS[r], Activated, termM[r]) }
  :: atomic { ready[r] -> ready[r] = false; gateM[r] = false; t = termM[r]; termM[r] = before;
       send(fromS[r], NotActivated, t) }
  /* the movement: rolled back, or committed and only forward */
  :: atomic { moving[r] && termH[r] == 0 && guest[r] -> moving[r] = false; gateM[r] = true;
       send(fromS[r], NotMoved, reserved[r]) }
  :: atomic { moving[r] && termH[r] == 0 -> termH[r] = reserved[r];
       if
       :: PLANTED == CONT_AFTER_COMMIT && guest[r] -> gateM[r] = true
       :: else -> guest[r] = false
       fi }
  :: atomic { moving[r] && termH[r] > 0 -> moving[r] = false; uses(r, termH[r], AtHost); gateH[r] = true;
       send(fromS[r], Moved, termH[r]) }
  od
}

/* what goes wrong, once each */
proctype failures() {
  byte r; mtype what; byte t;
end:
  do
  :: atomic { may_power && left > 0 -> may_power = false; left--; select(r : 0 .. N - 1); power_off(r) }
  :: atomic { !up[0] -> up[0] = true; gateA[0] = (PLANTED == GATE_AT_BOOT) }  /* boots with its gate closed */
  :: atomic { !up[1] -> up[1] = true; gateA[1] = (PLANTED == GATE_AT_BOOT) }
  :: atomic { may_freeze && left > 0 -> may_freeze = false; left--; select(r : 0 .. N - 1); frozen[r] = true }
  :: atomic { frozen[0] -> frozen[0] = false }
  :: atomic { frozen[1] -> frozen[1] = false }
  :: atomic { may_switch && left > 0 -> may_switch = false; left--; broken_switch = 1 }
  :: atomic { may_guest && left > 0 -> may_guest = false; left--; select(r : 0 .. N - 1); guest[r] = false; whole[r] = false; ready[r] = false }
  :: atomic { may_break && left > 0 -> may_break = false; left--; select(r : 0 .. N - 1);  /* a stream ends, with what was under way */
       do :: toA[r]?what(t) :: toS[r]?what(t) :: fromA[r]?what(t) :: fromS[r]?what(t)
          :: empty(toA[r]) && empty(toS[r]) && empty(fromA[r]) && empty(fromS[r]) -> break od;
       look_again(r) }
  :: atomic { may_crash && left > 0 -> may_crash = false; left--; r = 0;
       do
       :: r < N ->
          do :: toA[r]?what(t) :: toS[r]?what(t) :: fromA[r]?what(t) :: fromS[r]?what(t)
             :: empty(toA[r]) && empty(toS[r]) && empty(fromA[r]) && empty(fromS[r]) -> break od;
          look_again(r); r++
       :: else -> break
       od; r = 0 }
  od
}

active proctype monitor() {
end:
  atomic { !(one_owner(0) && one_owner(1)) -> assert(false) }
}

init {
  atomic {
    user[1] = AtActive; user[TERMS + 1] = AtActive;
    run control(0); run control(1);
    run active_agent(0); run active_agent(1);
    run standby_agent(0); run standby_agent(1);
    run failures()
  }
}
