/* SPDX-License-Identifier: Apache-2.0
 *
 * The control-server of one role (control-server/core/role_*.cpp), its store, its switch and its power driver. What the
 * core does in one step is one step here; the store's, the switch's and the power driver's answers are others, and a
 * crash may come between any two.
 *   asked of the switch ─► done ─► answered ─► asked of the store ─► written ─► answered ─► sent
 */
inline order_A(r, what, t) {
  if :: streamA[r] == 2 && !(toA[r]??[eval(what), eval(t)]) -> assert(nfull(toA[r])); toA[r]!what, t :: else fi
}
inline order_S(r, what, t) {
  if :: streamS == 2 && !(toS[r]??[eval(what), eval(t)]) -> assert(nfull(toS[r])); toS[r]!what, t :: else fi
}

inline nothing_pending(r) {
  written[r] = false; newTerm[r] = 0; newReserved[r] = 0; newPlace[r] = AtActive; newLeased[r] = false
}
inline persist(r, t, p, res, l, then) {
  newTerm[r] = t; newPlace[r] = p; newReserved[r] = res; newLeased[r] = l;
  after[r] = then; written[r] = false
}
inline write(r) {  /* the compare is of an ownership that only this life changes */
  assert(newTerm[r] < TERMS && newReserved[r] < TERMS);
  term[r] = newTerm[r]; place[r] = newPlace[r]; reserved[r] = newReserved[r]; leased[r] = newLeased[r];
  written[r] = true;
  if :: highest(r) > seen[r] -> seen[r] = highest(r) :: else fi
}

inline forget_lease(r) { arming[r] = 0; counting[r] = false; refreshed[r] = false }
inline serve_under_new_term(r, p) {  /* role_start.cpp */
  forget_lease(r); refused[r] = false; silent[r] = false; undone[r] = false; handTerm[r] = 0; empty_handed[r] = false;
  persist(r, next_term(r), p, 0, false, ThenServe)
}
inline run_mirror(r) {
  if
  :: place[r] == AtActive && place[0] != AtHost && place[ROLES - 1] != AtHost -> order_S(r, RunMirror, term[r])
  :: else
  fi
}
inline send_serve(r) {
  forget_lease(r);
  if
  :: place[r] == AtHost -> order_S(r, Serve, term[r])
  :: place[r] == AtActive && leased[r] -> persist(r, term[r], AtActive, reserved[r], false, ThenServe)
  :: place[r] == AtActive && !leased[r] ->
     if :: !port[r] || switchA[r] != Idle -> switchA[r] = Readmit :: else fi;
     order_A(r, Serve, term[r]);
     if :: leases -> order_A(r, DisarmLease, term[r]) :: else fi
  :: else
  fi
}
inline confirm_serving(r) {
  if :: !port[r] || switchA[r] != Idle -> switchA[r] = Readmit :: else fi;
  ctl[r] = Served; undone[r] = false; handTerm[r] = 0
}
inline send_activate(r) {  /* role_takeover.cpp */
  ctl[r] = Activating; refused[r] = false;
  order_S(r, Activate, term[r]);
  order_A(r, StandDown, term[r]);
  due[r] = silent[r] && has_power  /* looked at later: role_verdict.cpp, consider_cutting_power */
}
inline evidence_found(r) {
  forget_lease(r); undone[r] = false; handTerm[r] = 0;
  if
  :: place[r] == AtMirror && seen[r] <= highest(r) -> send_activate(r)
  :: else ->
     ctl[r] = Evidence;
     if
     :: planted == ORDER_FIRST -> order_S(r, Activate, next_term(r))
     :: else
     fi;
     persist(r, next_term(r), AtMirror, 0, false, ThenActivate)
  fi
}
inline begin_takeover(r) {
  ctl[r] = Evidence; refused[r] = false; synced[r] = false;
  switchA[r] = Isolate;
  order_A(r, StandDown, next_term(r))
}
inline healthy(r, yes) { yes = (streamA[r] == 2 && up[r] && !frozen[r] && powerA[r] == Idle) }
inline activation_failed(r, yes) {  /* the order of the tries is left open: back to its blade, or once more */
  healthy(r, yes);
  if
  :: yes && planted == TRUST_FAILURE -> serve_under_new_term(r, AtActive)
  :: yes && planted != TRUST_FAILURE -> ctl[r] = GiveBack; order_S(r, StandDown, next_term(r))
  :: ctl[r] = Evidence; switchA[r] = Isolate
  fi;
  yes = false
}
inline role_let_go(r) {  /* role_switchover.cpp */
  if
  :: synced[r] && streamS == 2 -> evidence_found(r)
  :: else -> serve_under_new_term(r, AtActive)
  fi
}

inline release(r) {  /* the other's mirror goes, unless it serves or is about to */
#if ROLES == 2
  if
  :: stageS[1 - r] == Mirroring && ctl[1 - r] == Served && place[1 - r] == AtActive ->
     stageS[1 - r] = Nothing; termS[1 - r] = 0; whole[1 - r] = false; grants[1 - r] = false; synced[1 - r] = false
  :: else
  fi
#else
  skip
#endif
}

inline stored(r) {  /* role_machine.cpp, on_stored */
  if
  :: after[r] == ThenServe -> after[r] = None; ctl[r] = Starting; synced[r] = false; due[r] = false; send_serve(r);
     if :: after[r] == None -> run_mirror(r) :: else fi
  :: after[r] == ThenActivate -> after[r] = None; synced[r] = false; send_activate(r)
  :: after[r] == ThenMove -> after[r] = None; order_S(r, Move, reserved[r])
  :: after[r] == ThenMoved -> after[r] = None; ctl[r] = OnHost; release(r)
  :: after[r] == ThenLeased -> after[r] = None
  :: after[r] == ThenExposed -> after[r] = None; forget_lease(r); order_A(r, DisarmLease, term[r])
  fi;
  if
  :: after[r] == None -> nothing_pending(r)
  :: else
  fi
}
inline hello_A(r, what, t) {
  streamA[r] = 2; heard[r] = (powerA[r] != Idle);
  if :: what != HelloEmpty && t > seen[r] -> seen[r] = t :: else fi;
  empty_handed[r] = (what == HelloEmpty);
  if
  :: after[r] != None -> skip
  :: after[r] == None && place[r] == AtActive && what == HelloHolds && t > highest(r) && ctl[r] != GiveBack ->
     serve_under_new_term(r, AtActive)
  :: after[r] == None && place[r] == AtActive && !(what == HelloHolds && t > highest(r)) ->
     if
     :: ctl[r] == Evidence && what == HelloEmpty -> evidence_found(r)
     :: ctl[r] == AwaitHandOver && what == HelloEmpty ->
        if
        :: synced[r] && streamS == 2 -> role_let_go(r)
        :: else -> ctl[r] = Starting; undone[r] = false; handTerm[r] = 0
        fi
     :: ctl[r] == AwaitHandOver && what == HelloServing && t == term[r] -> confirm_serving(r); run_mirror(r)
     :: ctl[r] == AwaitHandOver && what == HelloHolds && t == term[r] ->
        if :: undone[r] -> send_serve(r) :: else -> order_A(r, HandOver, handTerm[r]) fi
     :: ctl[r] == AwaitHandOver && what != HelloEmpty && t != term[r] -> begin_takeover(r)
     :: (ctl[r] == Starting || ctl[r] == Served) && what == HelloServing && t == term[r] -> confirm_serving(r)
     :: (ctl[r] == Starting || ctl[r] == Served) && what == HelloHolds && t == term[r] -> send_serve(r)
     :: (ctl[r] == Starting || ctl[r] == Served) && t != term[r] ->
        if
        :: synced[r] && streamS == 2 && what == HelloEmpty -> evidence_found(r)
        :: synced[r] && streamS == 2 && what != HelloEmpty -> begin_takeover(r)
        :: !(synced[r] && streamS == 2) && what != HelloEmpty -> send_serve(r)
        :: !(synced[r] && streamS == 2) && what == HelloEmpty -> ctl[r] = Starting  /* its mirror is asked */
        fi
     :: else
     fi
  :: after[r] == None && place[r] != AtActive ->
     silent[r] = false; due[r] = false; switchA[r] = Isolate;
     if :: what != HelloEmpty -> order_A(r, StandDown, term[r]) :: else fi;
     if :: ctl[r] == Gone && what == HelloEmpty -> serve_under_new_term(r, AtActive) :: else fi
  :: else
  fi
}

inline hello_S_heard(r, what, t) {
  streamS = 2; synced[r] = false;
  if :: what != HelloEmpty && t > seen[r] -> seen[r] = t :: else fi;
  said[r] = (what == HelloEmpty -> 255 : 0);
  if
  :: after[r] != None -> skip
  :: after[r] == None && place[r] == AtActive ->
     if
     :: what != HelloEmpty && what != HelloMirror -> order_S(r, StandDown, term[r])
     :: else
     fi;
     if
     :: ctl[r] == Starting || ctl[r] == Served || ctl[r] == AwaitHandOver -> run_mirror(r)
     :: else
     fi
  :: after[r] == None && place[r] == AtMirror ->
     if
     :: what == HelloHost && t > term[r] && t <= reserved[r] -> persist(r, t, AtHost, 0, false, ThenMoved)
     :: what == HelloHostBegun && t > term[r] && t <= reserved[r] -> ctl[r] = Moving
     :: what == HelloMirrorServes && t == term[r] ->
        if :: ctl[r] == Moving -> order_S(r, Move, reserved[r]) :: else -> ctl[r] = OnMirror fi
     :: what == HelloMirror && !(t > highest(r) && ctl[r] == GiveBack) -> ctl[r] = Evidence; switchA[r] = Isolate
     :: what == HelloEmpty -> ctl[r] = Gone
     :: else
     fi
  :: after[r] == None && place[r] == AtHost ->
     if
     :: what == HelloHost && t == term[r] -> ctl[r] = OnHost
     :: what == HelloEmpty -> serve_under_new_term(r, AtHost)
     :: else
     fi
  :: else
  fi
}

inline report_of_A(r, what, t, yes) {
  if
  :: what == HelloServing || what == HelloHolds || what == HelloEmpty -> hello_A(r, what, t)
  :: after[r] == None && what == Stopped && place[r] == AtActive &&
       (t > term[r] || (t == term[r] && planted == STALE_STOPPED)) ->
     if
     :: ctl[r] == Evidence -> silent[r] = false; evidence_found(r)  /* its own word: it keeps its power */
     :: ctl[r] == AwaitHandOver -> role_let_go(r)
     :: else
     fi
  :: after[r] == None && what == Serving && place[r] == AtActive && t == term[r] ->
     if
     :: ctl[r] == AwaitHandOver && undone[r] -> confirm_serving(r); run_mirror(r)
     :: ctl[r] == Starting || ctl[r] == Served -> confirm_serving(r)
     :: else
     fi
  :: after[r] == None && what == HandedOver && place[r] == AtActive && t > term[r] ->
     if
     :: ctl[r] == Evidence -> silent[r] = false; evidence_found(r)
     :: ctl[r] == AwaitHandOver || ctl[r] == Served || (ctl[r] == Starting && synced[r]) -> role_let_go(r)
     :: else
     fi
  :: after[r] == None && what == NotHandedOver && ctl[r] == AwaitHandOver && t == handTerm[r] ->
     undone[r] = true; send_serve(r)
  :: after[r] == None && what == Failed && place[r] == AtActive && t == term[r] ->
     if
     :: ctl[r] == AwaitHandOver || ((ctl[r] == Served || ctl[r] == Starting) && synced[r] && streamS == 2) ->
        if :: planted == FAILED_IS_SILENT -> evidence_found(r) :: else -> begin_takeover(r) fi
     :: (ctl[r] == Served || ctl[r] == Starting) && !(synced[r] && streamS == 2) ->  /* the third try is under a new term */
        if :: send_serve(r) :: seen[r] < TERMS - 2 -> serve_under_new_term(r, AtActive) fi
     :: else
     fi
  :: after[r] == None && what == Timed && place[r] == AtActive && t == lease[r] && ctl[r] == Served ->
     if :: arming[r] == 1 -> arming[r] = 2 :: else fi
  :: else
  fi
}

inline report_of_S(r, what, t, yes) {
  if
  :: what == HelloEmpty || what == HelloMirror || what == HelloMirrorServes || what == HelloHost ||
       what == HelloHostBegun -> hello_S_heard(r, what, t)
  :: what == Synced && t == term[r] && place[r] == AtActive ->
     said[r] = t;  /* told in answer to what was ordered: after any movement of its gate */
     if :: ctl[r] == Starting || ctl[r] == Served -> synced[r] = true :: else fi
  :: what == Following && t == term[r] && place[r] == AtActive -> said[r] = t
  :: after[r] == None && what == Activated && place[r] == AtMirror && t == term[r] && (ctl[r] == Activating ||
       ctl[r] == Evidence || ctl[r] == Gone) -> ctl[r] = OnMirror
  :: after[r] == None && what == NotActivated && place[r] == AtMirror && t == term[r] && (ctl[r] == Activating ||
       ctl[r] == Evidence) -> activation_failed(r, yes)
  :: after[r] == None && what == Stopped && ctl[r] == GiveBack && t > term[r] -> serve_under_new_term(r, AtActive)
  :: after[r] == None && what == Stopped && ctl[r] != GiveBack && place[r] == AtActive && t >= term[r] &&
       (ctl[r] == Served || ctl[r] == Starting) -> said[r] = 255; run_mirror(r)
  :: after[r] == None && what == GrantsStopped && t == term[r] && ctl[r] == Evidence && !counting[r] && leased[r] ->
     counting[r] = true; refreshed[r] = false
  :: after[r] == None && what == Moved && place[r] == AtMirror && t > term[r] && t <= reserved[r] ->
     persist(r, t, AtHost, 0, false, ThenMoved);
     if :: reserved[r] > t -> newReserved[r] = reserved[r] :: else fi
  :: after[r] == None && what == NotMoved && ctl[r] == Moving && t == reserved[r] ->
     ctl[r] = OnMirror;
     if :: planted == REUSE_TERM -> reserved[r] = 0; seen[r] = term[r] :: else fi
  :: else
  fi
}

proctype control(byte r) {
  mtype what; byte t; bool yes;
end:
  do
  :: atomic { fromA[r]?what, t -> report_of_A(r, what, t, yes); what = 0; t = 0 }
  :: atomic { fromS[r]?what, t -> report_of_S(r, what, t, yes); what = 0; t = 0 }
  /* the store */
  :: atomic { after[r] != None && !written[r] -> write(r) }
  :: atomic { after[r] != None && written[r] -> stored(r) }
#include "ownership_machines.pml"
  od
}
