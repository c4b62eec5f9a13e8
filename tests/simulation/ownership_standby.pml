/* SPDX-License-Identifier: Apache-2.0
 *
 * The standby's host-agent (host-agent/core/blade_orders.cpp, blade_answers.cpp, blade_lease.cpp, movement.cpp).
 *   Nothing ─run mirror─► Mirroring ─activate─► Readying ─► OpeningMirror ─► ServingMirror ─move─► Blocking ─► Blocked
 *                             ▲                    └──────────┴─► Failing           ▲ rolled back ─────┴───────────┤
 *                             ├── gate closed ◄──────────────────────┘              ServingHost ◄─── Committed ◄───┘
 *                             └── gate closed ◄── ClosingMirror ◄── stand down
 */
inline report_S(r, what, t) {
  if :: streamS > 0 && !(fromS[r]??[eval(what), eval(t)]) -> assert(nfull(fromS[r])); fromS[r]!what, t :: else fi
}

inline order_at_S(r, what, t) {
  if
  :: what == Activate ->
     if
     :: stageS[r] == Nothing -> report_S(r, NotActivated, t)
     :: stageS[r] == ServingMirror && t == termS[r] -> report_S(r, Activated, t)
     :: stageS[r] != Nothing && t > termS[r] && !(stageS[r] == Mirroring && whole[r] && guest[r]) ->
        report_S(r, NotActivated, t)
     :: stageS[r] == Mirroring && t > termS[r] && whole[r] && guest[r] ->
        former[r] = termS[r]; termS[r] = t; stageS[r] = Readying; grants[r] = false
     :: else
     fi
  :: what == StandDown && stageS[r] == Nothing -> report_S(r, Stopped, t)
  :: what == StandDown && t > termS[r] && stageS[r] != Nothing && stageS[r] != Blocking && stageS[r] != Blocked &&
       stageS[r] != Committed ->
     if
     :: stageS[r] == Readying || stageS[r] == OpeningMirror || stageS[r] == ServingMirror -> whole[r] = false
     :: else
     fi;
     former[r] = 0; termS[r] = t;
     if
     :: stageS[r] == ServingHost -> hostTerm[r] = 1  /* nothing of it is left when its gate has closed */
     :: else
     fi;
     stageS[r] = ClosingMirror;
     if :: planted == EARLY_STOPPED -> report_S(r, Stopped, t) :: else fi
  :: what == RunMirror && t >= termS[r] && (stageS[r] == Nothing || stageS[r] == Mirroring) ->
     if
     :: t > termS[r] || stageS[r] == Nothing -> whole[r] = false; grants[r] = false
     :: else
     fi;
     stageS[r] = Mirroring; termS[r] = t;
     if :: whole[r] -> report_S(r, Synced, t) :: else -> report_S(r, Following, t) fi
  :: what == Move ->
     if
     :: stageS[r] == ServingHost && t == termS[r] -> report_S(r, Moved, t)
     :: stageS[r] == ServingMirror && t > termS[r] -> uses(r, t, AtHost); hostTerm[r] = t; stageS[r] = Blocking
     :: stageS[r] == Blocking || stageS[r] == Blocked || stageS[r] == Committed -> skip
     :: else -> report_S(r, NotMoved, t)
     fi
  :: what == Serve && (stageS[r] == Nothing || stageS[r] == ServingHost) && t >= termS[r] ->
     termS[r] = t; stageS[r] = ServingHost; uses(r, t, AtHost); gateH[r] = true
  :: what == AllowGrants && stageS[r] == Mirroring && t == termS[r] -> grants[r] = true
  :: what == StopGrants && stageS[r] == Mirroring && t >= termS[r] -> grants[r] = false; report_S(r, GrantsStopped, t)
  :: else
  fi
}

inline hello_S(q) {
  do
  :: q < ROLES ->
     if
     :: stageS[q] == Nothing -> fromS[q]!HelloEmpty, 0
     :: stageS[q] == ServingMirror || stageS[q] == Blocking || stageS[q] == Blocked ->
        fromS[q]!HelloMirrorServes, termS[q]
     :: stageS[q] == Committed -> fromS[q]!HelloHostBegun, hostTerm[q]
     :: stageS[q] == ServingHost -> fromS[q]!HelloHost, termS[q]
     :: else -> fromS[q]!HelloMirror, termS[q];
        if
        :: stageS[q] == Mirroring && whole[q] -> fromS[q]!Synced, termS[q]
        :: (stageS[q] == Mirroring && !whole[q]) || (stageS[q] == ClosingMirror && planted == CLOSING_IS_CLEAR) ->
           fromS[q]!Following, termS[q]
        :: else
        fi
     fi;
     q++
  :: else -> break
  od;
  q = 0
}

proctype standby_agent(byte r) {
  mtype what; byte t; byte q;
end:
  do
  :: atomic { upS && nempty(toS[r]) -> toS[r]?what, t; order_at_S(r, what, t); what = 0; t = 0 }
  :: atomic { r == 0 && upS && streamS == 0 -> streamS = 1; hello_S(q) }
  /* the copy: what the active serves under the mirror's term */
  :: atomic { upS && stageS[r] == Mirroring && !guest[r] -> guest[r] = true }
  :: atomic { upS && stageS[r] == Mirroring && guest[r] && !whole[r] && streamS == 2 && empty(fromS[r]) && up[r] && !frozen[r] &&
       stageA[r] == ServingHost && termA[r] == termS[r] -> whole[r] = true; report_S(r, Synced, termS[r]) }
  /* the activation */
  :: atomic { stageS[r] == Readying && guest[r] -> stageS[r] = OpeningMirror; uses(r, termS[r], AtMirror);
       gateM[r] = true }
  :: atomic { stageS[r] == OpeningMirror -> stageS[r] = ServingMirror; report_S(r, Activated, termS[r]) }
  :: atomic { (stageS[r] == OpeningMirror || stageS[r] == Readying) && (!guest[r] || kinds & SLOW) && left > 0 ->
       left--; whole[r] = false; stageS[r] = Failing;
       if :: planted == TRUST_FAILURE -> report_S(r, NotActivated, termS[r]) :: else fi }
  :: atomic { stageS[r] == Failing ->
       gateM[r] = false; stageS[r] = Mirroring;
       if :: planted != TRUST_FAILURE -> report_S(r, NotActivated, termS[r]) :: else fi;
       if :: former[r] > 0 -> termS[r] = former[r]; former[r] = 0 :: else fi }
  :: atomic { stageS[r] == ClosingMirror ->
       gateM[r] = false; gateH[r] = false; grants[r] = false;
       if :: planted != EARLY_STOPPED -> report_S(r, Stopped, termS[r]) :: else fi;
       if
       :: hostTerm[r] == 1 -> stageS[r] = Nothing; termS[r] = 0; hostTerm[r] = 0
       :: else -> stageS[r] = Mirroring
       fi }
  /* the movement: rolled back, or committed and only forward */
  :: atomic { stageS[r] == Blocking -> gateM[r] = false; stageS[r] = Blocked }
  :: atomic { stageS[r] == Blocked || stageS[r] == Blocking ->
       gateM[r] = true; stageS[r] = ServingMirror; report_S(r, NotMoved, hostTerm[r]); hostTerm[r] = 0 }
  :: atomic { stageS[r] == Blocked -> stageS[r] = Committed;
       if
       :: planted == CONT_AFTER_COMMIT -> gateM[r] = true
       :: else -> guest[r] = false
       fi }
  :: atomic { stageS[r] == Committed -> stageS[r] = ServingHost; termS[r] = hostTerm[r]; hostTerm[r] = 0;
       uses(r, termS[r], AtHost); gateH[r] = true; report_S(r, Moved, termS[r]) }
  od
}
