/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of the control-server's process in ownership_control.pml: what it decides without being told anything, and the
 * machines that it asks: the switch, the power driver, the clock.
 */
  /* the switch */
  :: atomic { switchA[r] == Isolate ->
       if
       :: broken -> switchA[r] = NotIsolated
       :: !broken && planted == SKIP_ISOLATION -> switchA[r] = Isolated
       :: else -> port[r] = false; switchA[r] = Isolated;
          if :: planted == OLD_ISOLATION -> remembered[r] = true :: else fi
       fi }
  :: atomic { switchA[r] == Readmit && !broken -> port[r] = true; switchA[r] = Readmitted }
  :: atomic { switchA[r] == Readmitted ->
       if
       :: (place[r] != AtActive || ctl[r] == Evidence || ctl[r] == AwaitHandOver) &&
            !(after[r] == ThenServe && newPlace[r] == AtActive) -> switchA[r] = Isolate
       :: else -> switchA[r] = Idle
       fi }
  :: atomic { switchA[r] == Isolated ->
       switchA[r] = Idle; refused[r] = false;
       if
       :: ctl[r] == Evidence && after[r] == None -> evidence_found(r)
       :: place[r] == AtActive && (ctl[r] == Starting || ctl[r] == Served) && after[r] == None -> switchA[r] = Readmit
       :: else
       fi }
  :: atomic { switchA[r] == NotIsolated ->
       switchA[r] = Idle;
       if
       :: ctl[r] == Evidence && after[r] == None ->
          refused[r] = true;
          if :: has_power && powerA[r] == Idle -> powerA[r] = PowerOff; heard[r] = false :: else fi;
          if
          :: leased[r] && !counting[r] -> order_S(r, StopGrants, term[r]);
             if :: planted == COUNT_EARLY -> counting[r] = true; refreshed[r] = false :: else fi
          :: else
          fi
       :: else
       fi }
  :: atomic { ctl[r] == Evidence && after[r] == None && switchA[r] == Idle && refused[r] && !broken ->
       refused[r] = false; switchA[r] = Isolate }
  :: atomic { ctl[r] == Evidence && after[r] == None && remembered[r] && planted == OLD_ISOLATION -> evidence_found(r) }
  /* the power driver */
  :: atomic { powerA[r] == PowerOff && lies -> lies = false; powerA[r] = PoweredOff }
  :: atomic { powerA[r] == PowerOff && !lies ->
       if :: up[r] -> power_off_A(r) :: else fi;
       powerA[r] = PoweredOff }
  :: atomic { powerA[r] == PowerOff -> powerA[r] = NotOff }
  :: atomic { powerA[r] == NotOff -> powerA[r] = Idle; heard[r] = false }
  :: atomic { powerA[r] == PoweredOff ->
       powerA[r] = Idle;
       if
       :: ctl[r] == Evidence && after[r] == None && !heard[r] -> evidence_found(r)
       :: else
       fi;
       heard[r] = false }
  /* the power of a blade that was taken over for its silence: while it is silent still, and not when it is heard again;
     both observers may be blind for as long as they like */
  :: atomic { due[r] && after[r] == None && powerA[r] == Idle && up[r] -> due[r] = false; powerA[r] = PowerOff;
       heard[r] = false }
  :: atomic { due[r] && after[r] == None && (!up[r] || !frozen[r]) -> due[r] = false;
       if :: up[r] -> silent[r] = false :: else fi }
  /* the lease: all that was granted before the count has run out with it */
  :: atomic { ctl[r] == Evidence && after[r] == None && counting[r] ->
       if :: timed[r] && !refreshed[r] -> gateA[r] = false :: else fi;
       evidence_found(r) }
  /* the active is silent: it is dead, or stands still, or both observers are blind */
  :: atomic { (ctl[r] == Served || ctl[r] == Starting || ctl[r] == AwaitHandOver) && after[r] == None && synced[r] &&
       streamS == 2 && place[r] == AtActive && (!up[r] || frozen[r]) -> silent[r] = true; begin_takeover(r) }
  :: atomic { (ctl[r] == Served || ctl[r] == Starting || ctl[r] == AwaitHandOver) && after[r] == None && synced[r] &&
       streamS == 2 && place[r] == AtActive && up[r] && !frozen[r] && (kinds & BLIND) && left > 0 ->
       left--; silent[r] = true; begin_takeover(r) }
  /* called off: nothing is stored, the switch did not obey, and the blade is heard */
  :: atomic { ctl[r] == Evidence && after[r] == None && place[r] == AtActive && refused[r] && silent[r] && up[r] &&
       !frozen[r] && powerA[r] == Idle && streamA[r] == 2 ->
       switchA[r] = Readmit; serve_under_new_term(r, AtActive) }
  /* the activation's deadline, and what follows it */
  :: atomic { ctl[r] == Activating && after[r] == None && streamS != 2 -> activation_failed(r, yes) }
  :: atomic { ctl[r] == Activating && after[r] == None && streamS == 2 && (kinds & SLOW) && left > 0 ->
       left--; activation_failed(r, yes) }
  :: atomic { ctl[r] == GiveBack && after[r] == None && streamS == 2 && empty(toS[r]) && empty(fromS[r]) &&
       stageS[r] != ClosingMirror && next_term(r) < TERMS -> order_S(r, StandDown, next_term(r)) }
  /* a standby that is gone: isolated, or powered off, but never while another role needs it */
  :: atomic { ctl[r] == GiveBack && after[r] == None && streamS == 0 && switchS == Idle && powerS == Idle &&
       streamA[r] == 2 && up[r] && !frozen[r] &&
       (ROLES == 1 || (place[1 - r] == AtActive && ctl[1 - r] != Evidence) || ctl[1 - r] == GiveBack) ->
       if
       :: planted == GIVE_BACK_BLINDLY -> serve_under_new_term(r, AtActive)
       :: else -> switchS = Isolate
       fi }
  :: atomic { r == 0 && switchS == Isolate ->
       if :: broken -> switchS = NotIsolated :: else -> portS = false; switchS = Isolated fi }
  :: atomic { ctl[r] == GiveBack && after[r] == None && (switchS == Isolated || powerS == PoweredOff) &&
       streamA[r] == 2 && up[r] && !frozen[r] -> serve_under_new_term(r, AtActive) }
  :: atomic { r == 0 && switchS == Isolated && (ctl[0] != GiveBack || after[0] != None) &&
       (ctl[ROLES - 1] != GiveBack || after[ROLES - 1] != None) -> switchS = Idle }
  :: atomic { r == 0 && switchS == NotIsolated -> switchS = Idle;
       if :: (ctl[0] == GiveBack || ctl[ROLES - 1] == GiveBack) && has_power -> powerS = PowerOff :: else fi }
  :: atomic { r == 0 && powerS == PowerOff ->
       if :: upS -> power_off_S(t) :: else fi;
       powerS = PoweredOff }
  :: atomic { r == 0 && powerS == PoweredOff && (ctl[0] != GiveBack || after[0] != None) &&
       (ctl[ROLES - 1] != GiveBack || after[ROLES - 1] != None) -> powerS = Idle }
  /* its ports are opened when nothing on it can speak */
  :: atomic { r == 0 && !portS && streamS == 2 && switchS == Idle ->
       if
       :: (clear(0) && clear(ROLES - 1)) || planted == OPEN_STANDBY_BLINDLY -> portS = true
       :: else
       fi }
  :: atomic { !portS && streamS == 2 && place[r] == AtActive && after[r] == None && ctl[r] != GiveBack && !clear(r) &&
       empty(toS[r]) && empty(fromS[r]) && stageS[r] != ClosingMirror && term[r] > termS[r] ->
       order_S(r, StandDown, term[r]) }
  /* its blade forgot the role, and no mirror has it: from nothing */
  :: atomic { ctl[r] == Starting && after[r] == None && place[r] == AtActive && streamA[r] == 2 && empty_handed[r] &&
       empty(toA[r]) && empty(fromA[r]) && stageA[r] == Nothing ->
       if
       :: synced[r] && streamS == 2 -> evidence_found(r)
       :: !(synced[r] && streamS == 2) -> serve_under_new_term(r, AtActive)
       fi }
  :: atomic { ctl[r] == Gone && after[r] == None && streamA[r] == 2 && up[r] && !frozen[r] ->
       serve_under_new_term(r, AtActive) }
  /* operators: a movement, a planned switchover */
  :: atomic { ctl[r] == OnMirror && after[r] == None && streamS == 2 && (moves > 0 || (!guest[r] && reserved[r] == 0)) ->
       if :: moves > 0 -> moves-- :: else fi;
       ctl[r] = Moving; assert(user[r * TERMS + next_term(r)] == 0);  /* used up, even if it is rolled back */
       persist(r, term[r], AtMirror, next_term(r), false, ThenMove) }
  :: atomic { ctl[r] == Served && after[r] == None && synced[r] && streamS == 2 && streamA[r] == 2 &&
       (hands > 0 || wanted[r]) && !leased[r] && arming[r] == 0 ->
       if :: wanted[r] -> wanted[r] = false :: else -> hands-- fi;
       handTerm[r] = next_term(r); silent[r] = false; refused[r] = false; ctl[r] = AwaitHandOver;
       order_A(r, HandOver, handTerm[r]) }
  :: atomic { ctl[r] == AwaitHandOver && after[r] == None && up[r] && !frozen[r] && (kinds & SLOW) && left > 0 ->
       left--; begin_takeover(r) }
  :: atomic { ctl[r] == AwaitHandOver && after[r] == None && streamA[r] != 2 && (!synced[r] || streamS != 2) &&
       !up[r] -> begin_takeover(r) }
  :: atomic { leases && ctl[r] == Served && after[r] == None && synced[r] && streamS == 2 && streamA[r] == 2 &&
       hands > 0 && !wanted[r] && (leased[r] || arming[r] > 0) -> hands--; wanted[r] = true }
  :: atomic { wanted[r] && after[r] == None && (ctl[r] != Served || !synced[r]) -> wanted[r] = false }
  /* the lease */
  :: atomic { leases && ctl[r] == Served && after[r] == None && synced[r] && streamS == 2 && streamA[r] == 2 &&
       !leased[r] && arming[r] == 0 && !wanted[r] ->
       arming[r] = 1; lease[r]++; assert(lease[r] < TERMS);
       order_S(r, AllowGrants, term[r]); order_A(r, ArmLease, term[r] + lease[r] * TERMS) }
  :: atomic { ctl[r] == Served && after[r] == None && !leased[r] && synced[r] &&
       (arming[r] == 2 || (arming[r] == 1 && planted == LEASED_EARLY)) ->
       persist(r, term[r], AtActive, reserved[r], true, ThenLeased) }
  :: atomic { ctl[r] == Served && after[r] == None && streamA[r] == 2 && up[r] && !frozen[r] && leases &&
       ((!synced[r] && (leased[r] || arming[r] > 0)) || (leased[r] && arming[r] == 0) || wanted[r]) &&
       (leased[r] || arming[r] > 0) ->
       if
       :: leased[r] && planted == DISARM_FIRST -> order_A(r, DisarmLease, term[r]);
          persist(r, term[r], AtActive, reserved[r], false, ThenExposed)
       :: leased[r] && planted != DISARM_FIRST ->
          persist(r, term[r], AtActive, reserved[r], false, ThenExposed)
       :: else -> forget_lease(r); order_A(r, DisarmLease, term[r])
       fi }
