DROP INDEX `calls_unanswered_phone`;--> statement-breakpoint
ALTER TABLE `calls` ADD `roster` text;--> statement-breakpoint
ALTER TABLE `calls` ADD `review_at` integer;--> statement-breakpoint
ALTER TABLE `calls` ADD `has_unanswered_phone` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
-- Live calls, and those that ended within 30 days (the longest guard), keep what is known. What is not a room is left out.
CREATE TEMP TABLE `known` AS SELECT
	`calls`.`id` AS `id`,
	`room_life` AS `was`,
	`updated_at` AS `at`,
	`ended_at` IS NULL AS `is_live`,
	`answered_at`,
	`status` = 'active' OR `answered_at` IS NOT NULL AS `was_active`,
	json_extract(`room_life`, '$.phone.sid') AS `phone`,
	CASE WHEN json_extract(`room_life`, '$.phone.ruleId') IS NULL THEN 'outbound' ELSE 'inbound' END AS `phone_direction`,
	json_extract(`room_life`, '$.phone.disconnectReason') AS `phone_reason`,
	json_extract(`room_life`, '$.phone.callStatus') = 'ringing' OR `status` = 'ringing' AS `has_rung`,
	json_extract(`room_life`, '$.phone.sid') IS NOT NULL AND (
		`status` = 'active' OR `answered_at` IS NOT NULL OR
		(json_extract(`room_life`, '$.phone.ruleId') IS NULL AND json_extract(`room_life`, '$.phone.callTag') IS NOT NULL)
	) AS `is_answered`
FROM `calls`
WHERE (`ended_at` IS NULL OR `ended_at` > unixepoch() * 1000 - 2592000000)
	AND CASE WHEN json_valid(`room_life`) THEN json_type(`room_life`, '$.sid') = 'text' AND json_type(`room_life`, '$.participants') = 'array' ELSE 0 END;--> statement-breakpoint
CREATE TEMP TABLE `member` AS SELECT
	`known`.`id` AS `id`,
	`one`.`key` AS `place`,
	json_extract(`one`.`value`, '$.sid') AS `sid`,
	json_extract(`one`.`value`, '$.identity') AS `identity`,
	replace(json_extract(`one`.`value`, '$.role'), 'human', 'person') AS `role`,
	json_extract(`one`.`value`, '$.joinedAt') AS `joined_at`,
	NOT json_extract(`one`.`value`, '$.isPresent') AS `has_left`,
	coalesce(`graces`.`since`, `known`.`at`) AS `left_at`,
	coalesce(
		CASE WHEN json_extract(`one`.`value`, '$.sid') = `known`.`phone` THEN `known`.`phone_reason` END,
		`graces`.`reason`,
		'CLIENT_INITIATED'
	) AS `reason`
FROM `known` JOIN json_each(`known`.`was`, '$.participants') AS `one` ON `one`.`type` = 'object' AND json_type(`one`.`value`, '$.sid') = 'text'
LEFT JOIN `graces` ON `graces`.`call_id` = `known`.`id` AND `graces`.`role` = json_extract(`one`.`value`, '$.role');--> statement-breakpoint
CREATE INDEX temp.`member_by_id` ON `member` (`id`);--> statement-breakpoint
UPDATE `calls` SET
	`review_at` = CASE WHEN `known`.`is_live` THEN `known`.`at` END,
	`has_unanswered_phone` = `known`.`is_live` AND NOT `known`.`is_answered` AND EXISTS (
		SELECT 1 FROM `member` WHERE `member`.`id` = `known`.`id` AND `role` = 'phone' AND NOT `has_left`
	),
	`roster` = json_object(
		'sid', json_extract(`known`.`was`, '$.sid'),
		'createdAt', json_extract(`known`.`was`, '$.createdAt'),
		'isFinished', json('false'),
		'isEndedInError', json('false'),
		'members', json((
			SELECT json_group_array(json_object(
				'sid', `sid`,
				'identity', `identity`,
				'role', `role`,
				'joinedAt', `joined_at`,
				'noticedAt', coalesce(`joined_at`, `known`.`at`),
				'phone', json(CASE WHEN `role` = 'phone' THEN json_object(
					'via', 'sip',
					'callStatus', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.callStatus') END,
					'callTag', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.callTag') END,
					'callId', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.callId') END,
					'phoneNumber', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.phoneNumber') END,
					'trunkPhoneNumber', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.trunkPhoneNumber') END,
					'trunkId', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.trunkId') END,
					'ruleId', CASE WHEN `sid` = `known`.`phone` THEN json_extract(`known`.`was`, '$.phone.ruleId') END,
					'hasRung', json(CASE WHEN `sid` = `known`.`phone` AND `known`.`has_rung` THEN 'true' ELSE 'false' END),
					'answeredAt', CASE WHEN `sid` = `known`.`phone` AND `known`.`is_answered` THEN coalesce(`known`.`answered_at`, `known`.`at`) END
				) ELSE 'null' END),
				'departure', json(CASE WHEN `has_left` THEN json_object(
					'sid', `sid`, 'at', `left_at`, 'noticedAt', `left_at`, 'reason', `reason`, 'isReported', json('true'), 'isAborted', json('false')
				) ELSE 'null' END),
				'missingSince', NULL
			) ORDER BY `place`)
			FROM `member` WHERE `member`.`id` = `known`.`id`
		)),
		'audioFrom', json(CASE WHEN json_type(`known`.`was`, '$.audioFrom') = 'array' THEN json_extract(`known`.`was`, '$.audioFrom') ELSE '[]' END),
		'firstPhone', json(CASE WHEN `known`.`phone` IS NULL THEN 'null' ELSE json_object(
			'sid', `known`.`phone`,
			'joinedAt', coalesce(
				(SELECT `joined_at` FROM `member` WHERE `member`.`id` = `known`.`id` AND `sid` = `known`.`phone`),
				json_extract(`known`.`was`, '$.createdAt')
			),
			'phoneNumber', json_extract(`known`.`was`, '$.phone.phoneNumber'),
			'direction', `known`.`phone_direction`
		) END),
		'talkedSince', CASE WHEN `known`.`phone` IS NULL AND `known`.`was_active` THEN coalesce(`known`.`answered_at`, `known`.`at`) END,
		'peopleSince', NULL,
		'isCropped', json('true'),
		'hadCompany', json(CASE WHEN EXISTS (
			SELECT 1 FROM `member` WHERE `member`.`id` = `known`.`id` AND `role` IN ('agent', 'person')
		) THEN 'true' ELSE 'false' END),
		'answeredPhones', iif(`known`.`is_answered`, 1, 0),
		'lastLeaveNoticedAt', (
			SELECT max(`left_at`) FROM `member`
			WHERE `member`.`id` = `known`.`id` AND `has_left` AND `role` IN ('agent', 'person', 'phone')
		),
		'departures', (
			SELECT count(*) FROM `member`
			WHERE `member`.`id` = `known`.`id` AND `has_left` AND `role` IN ('agent', 'person', 'phone')
		),
		'lastTalkerLeft', json(coalesce((
			SELECT json_object('sid', `sid`, 'at', `left_at`, 'noticedAt', `left_at`, 'reason', `reason`, 'isReported', json('true'), 'isAborted', json('false'))
			FROM `member` WHERE `member`.`id` = `known`.`id` AND `has_left`
				AND (`role` = 'person' OR (`role` = 'phone' AND `known`.`is_answered`))
			ORDER BY `left_at` DESC LIMIT 1
		), 'null')),
		'lastPersonLeft', json(coalesce((
			SELECT json_object('sid', `sid`, 'at', `left_at`, 'noticedAt', `left_at`, 'reason', `reason`, 'isReported', json('true'), 'isAborted', json('false'))
			FROM `member` WHERE `member`.`id` = `known`.`id` AND `has_left` AND `role` = 'person'
			ORDER BY `left_at` DESC LIMIT 1
		), 'null')),
		'lastAgentLeft', json(coalesce((
			SELECT json_object('sid', `sid`, 'at', `left_at`, 'noticedAt', `left_at`, 'reason', `reason`, 'isReported', json('true'), 'isAborted', json('false'))
			FROM `member` WHERE `member`.`id` = `known`.`id` AND `has_left` AND `role` = 'agent'
			ORDER BY `left_at` DESC LIMIT 1
		), 'null')),
		'lastPhoneLeft', json(coalesce((
			SELECT json_object(
				'sid', `sid`, 'at', `left_at`, 'noticedAt', `left_at`, 'reason', `reason`, 'isReported', json('true'), 'isAborted', json('false'),
				'direction', `known`.`phone_direction`,
				'hasRung', json(CASE WHEN `known`.`has_rung` THEN 'true' ELSE 'false' END),
				'isAnswered', json(CASE WHEN `known`.`is_answered` THEN 'true' ELSE 'false' END)
			)
			FROM `member` WHERE `member`.`id` = `known`.`id` AND `has_left` AND `role` = 'phone'
			ORDER BY `left_at` DESC LIMIT 1
		), 'null')),
		'peopleSince', NULL,
		'moved', NULL,
		'unresponsive', NULL
	)
FROM `known` WHERE `known`.`id` = `calls`.`id`;--> statement-breakpoint
DROP TABLE `member`;--> statement-breakpoint
DROP TABLE `known`;--> statement-breakpoint
DROP TABLE `graces`;--> statement-breakpoint
ALTER TABLE `calls` DROP COLUMN `room_life`;--> statement-breakpoint
CREATE INDEX `calls_with_unanswered_phone` ON `calls` (`id`) WHERE "calls"."has_unanswered_phone" = 1;--> statement-breakpoint
CREATE INDEX `calls_by_review` ON `calls` (`review_at`) WHERE "calls"."review_at" IS NOT NULL;
